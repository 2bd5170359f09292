import { AssetError } from '../errors.ts';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { Quota } from './policy/policy-file.ts';
import type { UsagePolicies } from './policy/usage-policies.ts';

/** Whose quota a file counts against. */
export interface QuotaSubject {
  readonly owner: string;
  readonly usage: string;
  /** True for a file that counts among those of its owner already, and only changes its usage. */
  readonly isCounted?: boolean;
}

/** Room that an upload takes in the quotas of its owner while it runs. */
export interface QuotaHold extends Disposable {
  /**
   * Tells how many bytes the file has by now.
   *
   * @throws AssetError QUOTA_EXCEEDED
   */
  grow(sizeBytes: number): void;
}

/** What says how much an owner may have, and how much it has. */
interface QuotaContext {
  readonly policies: UsagePolicies;
  readonly catalog: FileCatalog;
}

/** What one owner has, or is about to have, of one usage or of all. */
interface Used {
  files: number;
  bytes: number;
}

/**
 * Holds owners to their quotas.
 *
 * The catalog counts the files that there are, softly deleted ones too, and this process what is on its way through it. So
 * uploads of one process do not overshoot. Those of other replicas are not seen before they are committed: together they may
 * overshoot by what is in their hands at that moment, since the last check comes before the commit and not with it.
 */
export class Quotas {
  readonly #inHand = new Map<string, Used>();

  /**
   * Takes room for one file.
   *
   * @param sizeBytes - what the file has as far as it is known
   * @throws AssetError QUOTA_EXCEEDED
   */
  async hold(
    context: QuotaContext,
    subject: QuotaSubject,
    sizeBytes: number,
    signal: AbortSignal,
  ): Promise<QuotaHold> {
    const rooms = (await roomsOf(context, subject, signal)).map((room) => ({
      ...room,
      key: keyOf(room, subject),
    }));
    let held = 0;
    const grow = (wanted: number) => {
      if (wanted <= held) return;
      for (const { key, quota, used, usage } of rooms) {
        const { files, bytes } = this.#inHand.get(key) ?? { files: 0, bytes: 0 };
        const total = { files: used.files + files, bytes: used.bytes + bytes + wanted - held };
        assertWithin(quota, total, { ...subject, usage });
      }
      for (const { key } of rooms) this.#inHand.get(key)!.bytes += wanted - held;
      held = wanted;
    };
    const release = () => {
      for (const { key } of rooms.splice(0)) {
        const left = this.#inHand.get(key)!;
        left.files -= 1;
        left.bytes -= held;
        if (left.files === 0) this.#inHand.delete(key);
      }
    };
    for (const { key } of rooms) {
      const inHand = this.#inHand.get(key);
      if (inHand) inHand.files += 1;
      else this.#inHand.set(key, { files: 1, bytes: 0 });
    }
    try {
      for (const { key, quota, used, usage } of rooms) {
        const { files, bytes } = this.#inHand.get(key)!;
        assertWithin(quota, { files: used.files + files, bytes: used.bytes + bytes }, { ...subject, usage });
      }
      grow(sizeBytes);
    } catch (error) {
      release();
      throw error;
    }
    return { grow, [Symbol.dispose]: release };
  }
}

/**
 * Checks that one more file fits, without taking room for it.
 *
 * @throws AssetError QUOTA_EXCEEDED
 */
export async function checkQuota(
  context: QuotaContext,
  subject: QuotaSubject,
  sizeBytes: number,
  signal?: AbortSignal,
): Promise<void> {
  for (const { quota, used, usage } of await roomsOf(context, subject, signal)) {
    assertWithin(quota, { files: used.files + 1, bytes: used.bytes + sizeBytes }, { ...subject, usage });
  }
}

/** The quotas that bind a file, with what is used of each. A file without an owner is bound by none. */
async function roomsOf(
  { policies, catalog }: QuotaContext,
  { owner, usage, isCounted = false }: QuotaSubject,
  signal: AbortSignal | undefined,
): Promise<{ readonly quota: Quota; readonly used: Used; readonly usage: string | undefined }[]> {
  if (owner === '') return [];
  const quotas = [
    { quota: policies.ofExisting(usage).quota, usage },
    { quota: isCounted ? undefined : policies.ownerQuota, usage: undefined },
  ];
  return Promise.all(
    quotas.flatMap(({ quota, usage: of }) => {
      if (quota === undefined) return [];
      const counted = catalog.usageOf(owner, of, signal && { signal });
      return [counted.then((used) => ({ quota, used: { ...used }, usage: of }))];
    }),
  );
}

function keyOf({ usage }: { readonly usage: string | undefined }, { owner }: QuotaSubject): string {
  return JSON.stringify([owner, usage]);
}

function assertWithin(
  quota: Quota,
  used: Used,
  { owner, usage }: { readonly owner: string; readonly usage: string | undefined },
): void {
  const { maxBytesPerOwner: bytes = Infinity, maxFilesPerOwner: files = Infinity } = quota;
  const [name, limit, wanted] =
    used.files > files ? (['files', files, used.files] as const) : (['bytes', bytes, used.bytes] as const);
  if (wanted <= limit) return;
  const what = usage === undefined ? 'of all usages' : `of usage "${usage}"`;
  throw new AssetError(
    'QUOTA_EXCEEDED',
    `owner "${owner}" may have ${limit} ${name} ${what}, and would have ${wanted}: delete some; deleted files count until they are purged`,
    {
      metadata: {
        owner,
        ...(usage !== undefined && { usage }),
        ...{ quota: name, limit: String(limit), used: String(wanted) },
      },
    },
  );
}
