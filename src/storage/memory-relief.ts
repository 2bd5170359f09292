/** A part that has held memory for so long without being sent is one of a slow caller, in milliseconds. */
const SLOW_MS = 1_000;

/** What a memory budget knows of a part. */
export interface Part {
  readonly holder: string;
  readonly putAway: (() => Promise<void>) | undefined;
  /** True if it may use all of the memory whatever it asks for. */
  readonly isExempt: boolean;
  bytes: number;
  /** True once it is on its way to the store. */
  settled: boolean;
  /** There while it is being put away. */
  away: Promise<void> | undefined;
  /** True once others have needed its memory. */
  wasAway: boolean;
  /** Since when it holds memory, or when it may be put away again, by `performance.now()`. */
  since: number;
}

/** A part that has no memory yet. */
export function newPart(holder: string, putAway: Part['putAway'], isExempt: boolean): Part {
  const settled = putAway === undefined;
  return { holder, putAway, isExempt, settled, bytes: 0, away: undefined, wasAway: false, since: 0 };
}

/** A part up to this size, in bytes, may use the memory that is reserved for small ones. */
const SMALL_BYTES = 256 * 1024;

/** True if a part may use all of the memory for a request. Slow callers may not: many of them would take all of it. */
export function isSmall(part: Part, bytes: number): boolean {
  if (part.isExempt) return true;
  return part.bytes + bytes <= SMALL_BYTES && !part.wasAway && !isOld(part, performance.now());
}

/** Memory that somebody waits for. */
export interface WantedMemory {
  /** How much has to come back first, in bytes. */
  readonly bytes: number;
  /** Whose memory it has to be; anybody's where left out. */
  readonly holder?: string;
}

/**
 * Which parts of slow callers to put away, the largest first: as many as hold more than `openBytes` together, and as many
 * as it takes for those who wait, beside what is on its way to the store anyway.
 */
export function partsToPutAway(
  parts: readonly Part[],
  wanted: readonly WantedMemory[],
  openBytes: number,
  now: number,
): readonly Part[] {
  const slow = parts
    .filter((part) => part.putAway && isOld(part, now) && !isSettling(part))
    .sort((one, other) => other.bytes - one.bytes);
  const chosen = new Set<Part>();
  const isOf = (part: Part, holder: string | undefined) => holder === undefined || holder === part.holder;
  const comingBack = (holder?: string) =>
    sizeOf(parts.filter((part) => (isSettling(part) || chosen.has(part)) && isOf(part, holder)));
  const choose = (bytes: number, holder?: string) => {
    let left = bytes;
    for (const part of slow) {
      if (left <= 0) return;
      if (chosen.has(part) || !isOf(part, holder)) continue;
      chosen.add(part);
      left -= part.bytes;
    }
  };
  choose(sizeOf(slow) - openBytes);
  for (const { bytes, holder } of wanted) choose(bytes - comingBack(holder), holder);
  return [...chosen];
}

/** True if a part has held memory for so long that its caller is slow. */
export function isOld({ bytes, since }: Part, now: number): boolean {
  return bytes > 0 && now - since >= SLOW_MS;
}

/** True if the memory of a part comes back without anybody's help. */
export function isSettling(part: Part): boolean {
  return part.settled || part.away !== undefined;
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0);
}
