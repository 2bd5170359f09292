import { constants } from 'node:fs';
import { access, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { freePort } from './ports.ts';
import { makeDir, startServer, type Server } from './process.ts';

/** The harmless test file that every scanner detects. In two pieces, so that scanners ignore this file. */
export const EICAR = `X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-${'ANTIVIRUS-TEST-FILE!$H+H*'}`;

/** Where distributions install it, besides PATH. */
const PLACES = ['/usr/sbin', '/usr/local/sbin'];

/** Path of ClamAV's program, or why it is missing. */
export async function clamdProgram(): Promise<{ readonly program: string } | { readonly missing: string }> {
  const given = process.env.ASSET_TEST_CLAMD_BIN;
  const places = (process.env.PATH ?? '').split(delimiter);
  for (const program of given ? [given] : [...places, ...PLACES].map((dir) => join(dir, 'clamd'))) {
    const found = await access(program, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return { program };
  }
  return { missing: 'no clamd; install clamav-daemon, or set ASSET_TEST_CLAMD_BIN' };
}

/** A clamd of the test. */
export type Clamd = Server & { readonly host: string; readonly port: number };

/** Starts a clamd that detects only EICAR and accepts files up to 16 MiB. Takes about a second. */
export async function startClamd(program: string): Promise<Clamd> {
  const dir = await makeDir('clamd');
  const [host, port] = ['127.0.0.1', await freePort()];
  // A signature in ClamAV's format: name, kind of file, offset, bytes.
  const signature = `Eicar-Test-Signature:0:*:${Buffer.from(EICAR).toString('hex')}\n`;
  await writeFile(join(dir, 'own.ndb'), signature);
  const configuration = [
    ...[`TCPAddr ${host}`, `TCPSocket ${port}`, `DatabaseDirectory ${dir}`, 'Foreground yes'],
    ...[`PidFile ${join(dir, 'clamd.pid')}`, `TemporaryDirectory ${dir}`, 'StreamMaxLength 16M'],
  ];
  await writeFile(join(dir, 'clamd.conf'), `${configuration.join('\n')}\n`);
  const server = await startServer({
    name: 'clamd',
    command: program,
    args: ['--config-file', join(dir, 'clamd.conf')],
    dir,
    ownsDir: true,
    ready: () => answers(host, port),
  });
  return Object.assign(server, { host, port });
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => socket.write('zPING\0'));
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString().startsWith('PONG'));
    });
    socket.once('error', () => resolve(false));
  });
}
