import { describe, expect, it } from '@jest/globals';
import { openLog } from '../../src/log.ts';

describe('the log', () => {
  it('shows no credential, should one ever be handed to it', () => {
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
});
