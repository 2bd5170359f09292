import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { serverProgram } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';

/** What of gRPC the service speaks. Streams in both directions are not in its contract. */
const FEATURES = {
  versions: ['HTTP_VERSION_2'],
  protocols: ['PROTOCOL_GRPC'],
  codecs: ['CODEC_PROTO'],
  compressions: ['COMPRESSION_IDENTITY', 'COMPRESSION_GZIP'],
  stream_types: ['STREAM_TYPE_UNARY', 'STREAM_TYPE_CLIENT_STREAM', 'STREAM_TYPE_SERVER_STREAM'],
  supports_h2c: true,
  supports_tls: true,
  supports_tls_client_certs: false,
};

/** Cases that must fail, by name; each with its reason. There is none. */
const EXCEPTIONS: Readonly<Record<string, string>> = {};

const TIMEOUT_MS = 180_000;

const runner = await serverProgram('connectconformance').catch((error: unknown) => {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  throw error;
});

describe(`gRPC as connectrpc.com/conformance has it${runner ? '' : ' (no Go to build it with)'}`, () => {
  (runner === undefined ? it.skip : it)(
    'is spoken in every case, in cleartext and with TLS',
    async () => {
      const program = runner!;
      const dir = await makeDir('conformance');
      try {
        const config = join(dir, 'config.yaml');
        // JSON is YAML too.
        await writeFile(config, JSON.stringify({ features: FEATURES }));
        const server = join(import.meta.dirname, 'grpc', 'server.ts');
        const descriptors = join(dirname(program), 'conformance.binpb');
        const run = () =>
          promisify(execFile)(
            program,
            [
              ...['--mode', 'server', '--conf', config, '--parallel', '4', '--max-servers', '2'],
              ...Object.keys(EXCEPTIONS).flatMap((name) => ['--known-failing', name]),
              ...['--', process.execPath, server, descriptors],
            ],
            { timeout: TIMEOUT_MS / 2 },
          ).then(
            ({ stdout, stderr }) => stdout + stderr,
            ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr,
          );
        let said = await run();
        // The runner gives a server five seconds to start, which cannot be changed. On a busy machine that may be short.
        if (said.includes('timed out waiting for result from server')) said = await run();
        expect(said).not.toContain('FAILED');
        const [, passed] = /(\d+) passed, 0 failed/.exec(said) ?? [said];
        expect(Number(passed)).toBeGreaterThan(400);
      } finally {
        await removeDir(dir);
      }
    },
    TIMEOUT_MS,
  );
});
