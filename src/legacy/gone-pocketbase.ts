import { setTimeout as sleep } from 'node:timers/promises';
import { StepRefused } from './refused.ts';

/** The PocketBase of the old system, which the operator says is switched off for good. */
export interface GonePocketBase {
  readonly url: string;
  /** What answers under its URL, such as `HTTP 200`; undefined if nothing does. */
  answer(signal: AbortSignal): Promise<string | undefined>;
}

/** One that restarts does not answer for a moment. */
const ATTEMPTS = 3;
const PAUSE_MS = 700;

/** Throws POCKETBASE_ANSWERS if the PocketBase is there: then its collection can be closed, and must be. */
export async function checkGone(gone: GonePocketBase | undefined, signal: AbortSignal): Promise<void> {
  if (gone === undefined) return;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    if (attempt > 1) await sleep(PAUSE_MS, undefined, { signal });
    const answer = await gone.answer(signal);
    if (answer !== undefined)
      throw new StepRefused({ reason: 'POCKETBASE_ANSWERS', text: goneAnswers(gone, answer) });
  }
}

/** What to do about a PocketBase that is said to be gone and answers. */
export function goneAnswers({ url }: GonePocketBase, answer: string): string {
  return `--without-pocketbase: ${url} answers (${answer}): set ASSET_POCKETBASE_URL, ASSET_POCKETBASE_EMAIL and ASSET_POCKETBASE_PASSWORD, so that its collection is closed too, or switch it off`;
}
