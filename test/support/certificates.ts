import { execFile } from 'node:child_process';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const openssl = async (...args: string[]) => {
  await promisify(execFile)('openssl', args);
};

/** A certificate and its key: paths and contents. */
export interface Certificate {
  readonly certPath: string;
  readonly keyPath: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Options of a certificate. */
export interface CertificateOptions {
  /** Subject in openssl's format; default `/CN=` and the name. */
  readonly subject?: string;
  /** Alternative names, each as a line of openssl's configuration, such as `IP.1 = 127.0.0.1`. */
  readonly alternativeNames?: readonly string[];
  /** Days of validity; default 2, negative for an expired one. */
  readonly days?: number;
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A certificate authority in a directory of the test. */
export class Authority {
  readonly #dir: string;
  readonly #own: Certificate;

  private constructor(dir: string, own: Certificate) {
    this.#dir = dir;
    this.#own = own;
  }

  /** Makes an authority that keeps its files in `dir`. */
  static async create(dir: string, name: string): Promise<Authority> {
    const [keyPath, certPath] = [join(dir, `${name}.key`), join(dir, `${name}.pem`)];
    const subject = ['-subj', `/CN=${name}`, '-addext', 'basicConstraints=critical,CA:TRUE'];
    await openssl('req', '-x509', ...NEW_KEY, '-days', '2', '-keyout', keyPath, '-out', certPath, ...subject);
    return new Authority(dir, await read(keyPath, certPath));
  }

  /** Its own certificate, for others to trust. */
  get certificate(): Certificate {
    return this.#own;
  }

  /** Issues a certificate with files named `name`. */
  async issue(name: string, options: CertificateOptions = {}): Promise<Certificate> {
    const path = (suffix: string) => join(this.#dir, `${name}.${suffix}`);
    const subject = options.subject ?? `/CN=${name}`;
    await openssl('req', '-new', ...NEW_KEY, '-subj', subject, '-keyout', path('key'), '-out', path('csr'));
    const names = options.alternativeNames ?? [];
    const extensions = names.length > 0 ? ['subjectAltName = @names', '[names]', ...names] : [];
    await writeFile(path('ext'), `${extensions.join('\n')}\n`);
    await openssl(
      ...['x509', '-req', '-in', path('csr'), '-CA', this.#own.certPath, '-CAkey', this.#own.keyPath],
      ...['-CAcreateserial', '-extfile', path('ext'), '-out', path('pem')],
      ...['-days', String(options.days ?? 2)],
    );
    return read(path('key'), path('pem'));
  }
}

/** Replaces a file in one step, as tools that renew certificates do. */
export async function replaceFile(path: string, content: Buffer | string): Promise<void> {
  await writeFile(`${path}.new`, content);
  await rename(`${path}.new`, path);
}

async function read(keyPath: string, certPath: string): Promise<Certificate> {
  return { certPath, keyPath, cert: await readFile(certPath), key: await readFile(keyPath) };
}
