import { describe, expect, it } from '@jest/globals';
import { AssetError } from '../../src/errors/asset-error.ts';
import { openLog, readable } from '../../src/telemetry/log.ts';
import { causeText } from '../../src/errors/setup-fault.ts';

describe('the log', () => {
  it('removes credentials that are passed to it', () => {
    let written = '';
    const log = openLog('info', { write: (line) => (written += line) });
    const headers = {
      authorization: 'Bearer hunter2',
      'asset-user-token': 'hunter2',
      cookie: 'hunter2',
      host: 'x',
    };
    log.info(headers, 'a call');
    log.info({ headers }, 'a call');
    log.info({ request: { headers } }, 'a call');
    log.error({ err: Object.assign(new Error('failed'), { headers }) }, 'a call failed');
    expect(written.match(/\[Redacted\]/g)).toHaveLength(12);
    expect(written).toContain('"host":"x"');
    expect(written).not.toContain('hunter2');
  });

  it('shows no password of a URL, wherever one stands', () => {
    let written = '';
    const log = openLog('info', { write: (line) => (written += line) });
    const url = 'https://ann:hunter2@keys.example:8443/keys?token=hunter2#x';
    log.info({ url, nested: { url } }, `at ${url}`);
    log.error({ err: new TypeError(`no fetch from ${url}: https://hunter2@x`) }, 'failed');
    log.warn({ cause: causeText(new Error(`http://ann:hun/ter2@x and ${url}`)) }, 'refused');
    expect(written).not.toMatch(/hunter2|ter2/);
    expect(written).toContain('https://***@keys.example:8443/keys?token=***#x');
    log.info({ url: 'http://127.0.0.1:8080/@scope/name', at: 'file:///a/@b/c.ts:1:2' }, 'listening');
    expect(written).toContain('"url":"http://127.0.0.1:8080/@scope/name","at":"file:///a/@b/c.ts:1:2"');
  });

  const lineOf = (format: 'json' | 'text', write: (log: ReturnType<typeof openLog>) => void): string => {
    let written = '';
    write(openLog('info', { write: (line) => (written += line) }, format));
    return written;
  };

  it('has the time of each line in ISO 8601, to the millisecond', () => {
    const { time } = JSON.parse(lineOf('json', (log) => log.info('a call'))) as { time: string };
    expect(new Date(time).toISOString()).toBe(time);
  });

  it('tells an outage by its cause, and a fault by its stack', () => {
    const cause = Object.assign(new Error('connect ECONNREFUSED'), {
      code: 'ECONNREFUSED',
      address: '::1',
      port: 1,
    });
    const outage = new AssetError('STORE_UNAVAILABLE', 'try again later', { cause });
    const line = lineOf('json', (log) =>
      log.warn({ err: new Error('a sweep failed', { cause: outage }) }, 'x'),
    );
    expect(JSON.parse(line)).toMatchObject({
      err: { reason: 'STORE_UNAVAILABLE', cause: 'nothing listens there (ECONNREFUSED ::1:1)' },
    });
    expect(line).not.toMatch(/stack|try again/);
    expect(lineOf('json', (log) => log.error({ err: new TypeError('a bug') }, 'x'))).toContain('log.test.ts');
  });

  it('has one readable line per entry, the stack below it, and no control characters', () => {
    const line = lineOf('text', (log) => log.warn({ rpc: 'GetFile', name: 'a \u001b[2Jb\u009b2J' }, 'call'));
    expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z WARN {2}call rpc=GetFile name="a [^\n]*"\n$/);

    expect(line).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    const fault = lineOf('text', (log) => log.error({ err: new TypeError('a bug') }, 'failed'));
    expect(fault).toMatch(/ERROR failed\n {4}TypeError: a bug\n {8}at /);
    expect(readable('{"time":"t","msg":"audit","why":"role"}')).toBe('t AUDIT audit why=role\n');
  });
});
