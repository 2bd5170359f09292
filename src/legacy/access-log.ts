/** Successful requests to a bucket in an S3 access log: one entry per kind of request and caller. */
export interface BucketUse {
  /** The lock ends `read` and `list` without a key; `write` goes on until the store withdraws the key's permission. */
  readonly kind: 'read' | 'list' | 'write';
  /** Id of the key's owner; empty without a key. */
  readonly requester: string;
  readonly address: string;
  readonly userAgent: string;
  readonly count: number;
  readonly lastTime: string;
}

/** Content of an access log. */
export interface AccessLogSummary {
  readonly uses: readonly BucketUse[];
  /** Number of lines that are not in the format of S3 server access logs. */
  readonly unreadable: number;
}

/** Maximum number of entries; further ones are left out. */
const MAX_USES = 500;

/** Fields of a line: in brackets, in quotes, or without blanks. */
const FIELD = /\[([^\]]*)\]|"((?:[^"\\]|\\.)*)"|(\S+)/g;

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * Counts the requests to a bucket in S3 server access logs: anonymous reads and lists, and all writes. Requests that
 * were refused do not count.
 */
export async function readAccessLog(lines: AsyncIterable<string>, bucket: string): Promise<AccessLogSummary> {
  const uses = new Map<string, BucketUse>();
  let unreadable = 0;
  for await (const line of lines) {
    if (line.trim() === '') continue;
    const fields = [...line.matchAll(FIELD)].map(([, time, text, word]) => time ?? text ?? word ?? '');
    const [, ofBucket, time = '', address = '', requester = '', , operation = ''] = fields;
    const [status, userAgent = ''] = [Number(fields[9]), fields[16]];
    const lastTime = timeOf(time);
    if (!Number.isInteger(status) || lastTime === undefined || !operation.includes('.')) {
      unreadable += 1;
      continue;
    }
    const kind = kindOf(operation);
    const isAnonymous = requester === '-';
    if (ofBucket !== bucket || kind === undefined || status >= 400) continue;
    if (kind !== 'write' && !isAnonymous) continue;
    const one = { kind, requester: isAnonymous ? '' : requester, address, userAgent };
    const key = JSON.stringify(one);
    const known = uses.get(key);
    if (known === undefined && uses.size >= MAX_USES) continue;
    const latest = known !== undefined && known.lastTime > lastTime ? known.lastTime : lastTime;
    uses.set(key, { ...one, count: (known?.count ?? 0) + 1, lastTime: latest });
  }
  return { uses: [...uses.values()], unreadable };
}

function kindOf(operation: string): BucketUse['kind'] | undefined {
  const [, method = '', resource = ''] = operation.split('.');
  if (/^(PUT|POST|DELETE|COPY)$/.test(method)) return 'write';
  if (!/^(GET|HEAD)$/.test(method)) return undefined;
  if (/^BUCKET/.test(resource)) return 'list';
  return resource === 'OBJECT' ? 'read' : undefined;
}

/** A time such as `06/Feb/2019:00:00:38 +0000`. */
function timeOf(text: string): string | undefined {
  const [, day, month = '', year, time, zone] =
    /^(\d{2})\/(\w{3})\/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{4})$/.exec(text) ?? [];
  const number = String(MONTHS.indexOf(month) + 1).padStart(2, '0');
  const date = new Date(`${year}-${number}-${day}T${time}${zone?.slice(0, 3)}:${zone?.slice(3)}`);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
