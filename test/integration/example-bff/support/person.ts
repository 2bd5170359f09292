import { setTimeout as sleep } from 'node:timers/promises';

/** What a request of {@link Person} may have. */
export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** An answer of the BFF, read to its end. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly json: any;
}

/** A person with a browser, as far as cookies and the CSRF token go. */
export class Person {
  readonly url: string;
  csrf = '';
  readonly #cookies = new Map<string, string>();

  constructor(url: string) {
    this.url = url;
  }

  /** Signs in with the sign-in for development. */
  static async signedIn(url: string, user: string): Promise<Person> {
    const person = new Person(url);
    const answer = await person.ask('/sign-in', { method: 'POST', body: { user } });
    if (answer.status !== 200) throw new Error(`sign-in: ${answer.status} ${answer.text}`);
    await person.readSession();
    return person;
  }

  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  /** Reads the CSRF token. */
  async readSession(): Promise<Answered> {
    const session = await this.ask('/api/session');
    this.csrf = session.json?.csrf ?? '';
    return session;
  }

  /** Sends a request as a page of the BFF does. Redirects are not followed. */
  async ask(path: string, { method = 'GET', headers = {}, body }: Asked = {}): Promise<Answered> {
    const isStream = body instanceof ReadableStream;
    const isRaw = body === undefined || body instanceof FormData || body instanceof Uint8Array || isStream;
    const response = await fetch(new URL(path, this.url), {
      method,
      redirect: 'manual',
      headers: {
        ...(this.#cookies.size > 0 && { cookie: this.cookie }),
        ...(method !== 'GET' && { origin: this.url, 'sec-fetch-site': 'same-origin' }),
        ...(method !== 'GET' && this.csrf !== '' && { 'x-csrf-token': this.csrf }),
        ...(!isRaw && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(isStream && { duplex: 'half' as const }),
      ...(body !== undefined && { body: isRaw ? (body as FormData) : JSON.stringify(body) }),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!;
      if (/;\s*max-age=0/i.test(cookie) || value === '') this.#cookies.delete(name!);
      else this.#cookies.set(name!, value!);
    }
    const text = await response.text();
    const isJson = text !== '' && response.headers.get('content-type')?.includes('json');
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    };
  }

  /** Uploads one file by a form. */
  upload(bytes: string | Uint8Array, name: string, type: string, usage = 'document'): Promise<Answered> {
    const form = new FormData();
    form.append('usage', usage);
    form.append('file', new Blob([bytes], { type }), name);
    return this.ask('/api/files', { method: 'POST', body: form });
  }

  /** Uploads one document by a form in pieces, which take this long together. */
  uploadSlowly(bytes: Uint8Array, name: string, milliseconds: number): Promise<Answered> {
    const [boundary, pieces] = ['between-parts', 20];
    const field = (text: string) =>
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${text}\r\n`);
    async function* parts() {
      yield field('name="usage"\r\n\r\ndocument');
      yield field(`name="file"; filename="${name}"\r\nContent-Type: application/octet-stream\r\n`);
      const size = Math.ceil(bytes.length / pieces);
      for (let at = 0; at < bytes.length; at += size) {
        yield bytes.subarray(at, at + size);
        await sleep(milliseconds / pieces);
      }
      yield Buffer.from(`\r\n--${boundary}--\r\n`);
    }
    const headers = { 'content-type': `multipart/form-data; boundary=${boundary}` };
    return this.ask('/api/files', { method: 'POST', headers, body: ReadableStream.from(parts()) });
  }
}
