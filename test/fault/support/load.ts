import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { giveUp, newWish, uploadDirect, uploadInPieces, uploadPlain, BOUND } from './uploads.ts';
import { insist, judge, told, anyClient } from './insist.ts';
import type { KnownFile, Ledger } from './ledger.ts';
import type { Deployment } from './world.ts';

/** Running callers. */
export interface Load {
  /** Lets every caller finish its current action and waits for all. */
  finish(): Promise<void>;
}

/** Starts callers; each has its own files, and all share one. */
export function startLoad(world: Deployment, ledger: Ledger, callers = 4): Load {
  let finishing = false;
  const shared = uploadPlain(world, ledger, newWish('', false));
  const work = async () => {
    const own: KnownFile[] = [];
    const common = await shared;
    while (!finishing) {
      await turn(world, ledger, own, common);
      await sleep(randomInt(20, 120));
    }
  };
  const all = Array.from({ length: callers }, () =>
    work().catch((error: unknown) => ledger.breach('other', `a caller fell over: ${(error as Error).stack}`)),
  );
  return {
    async finish() {
      finishing = true;
      await Promise.all(all);
    },
  };
}

async function turn(
  world: Deployment,
  ledger: Ledger,
  own: KnownFile[],
  common: KnownFile | undefined,
): Promise<void> {
  const dice = randomInt(100);
  const keep = (file: KnownFile | undefined) => {
    if (file) own.push(file);
  };
  const pick = () => own[randomInt(Math.max(1, own.length))];
  if (dice < 25) keep(await uploadPlain(world, ledger, newWish()));
  else if (dice < 45) keep(await uploadInPieces(world, ledger, newWish('', Math.random() < 0.7)));
  else if (dice < 50) keep(await uploadDirect(world, ledger, newWish()));
  else if (dice < 58) await giveUp(world, ledger, newWish());
  else if (dice < 70) await change(world, ledger, common);
  else if (dice < 78) await change(world, ledger, pick());
  else if (dice < 90)
    await remove(world, ledger, await uploadPlain(world, ledger, newWish('short', Math.random() < 0.1)));
  else if (dice < 94) await removeAndBringBack(world, ledger, pick());
  else await read(world, ledger, pick());
}

/** Increments a number in the record with its etag. No update of any caller may be lost. */
async function change(world: Deployment, ledger: Ledger, file: KnownFile | undefined): Promise<void> {
  if (!file || file.deletion !== 'none') return;
  const least = file.updates;
  const answer = await insist(world, ledger, 'reading a record', (client) =>
    client.getFile({ fileId: file.id }, BOUND),
  );
  if (!answer) return;
  const { attributes, etag } = answer.file!;
  const width = Number(attributes?.['width'] ?? 0);
  if (width < least)
    ledger.breach('lost', `${file.id} has ${width} of at least ${least} acknowledged updates`);
  const wanted = { id: file.id, etag, attributes: { width: width + 1 } };
  const updateMask = { paths: ['attributes.width'] };
  try {
    await anyClient(world).updateMetadata({ file: wanted, updateMask }, BOUND);
    file.updates++;
    ledger.counts.updates++;
  } catch (error) {
    if (judge(ledger, 'an update', error).unsure) file.unsureUpdates++;
  }
}

async function remove(world: Deployment, ledger: Ledger, file: KnownFile | undefined): Promise<void> {
  if (!file || file.deletion !== 'none') return;
  file.deletion = 'asked';
  let unsure = false;
  await insist(
    world,
    ledger,
    'a deletion',
    (client) => client.deleteFile({ fileId: file.id }, BOUND),
    (said) => {
      if (unsure && (said.reason === 'FILE_DELETED' || said.reason === 'FILE_NOT_FOUND')) return 'done';
      unsure ||= said.unsure;
      return undefined;
    },
  );
  file.deletion = 'done';
}

async function removeAndBringBack(
  world: Deployment,
  ledger: Ledger,
  file: KnownFile | undefined,
): Promise<void> {
  if (!file || file.usage === 'short') return;
  await remove(world, ledger, file);
  let unsure = false;
  await insist(
    world,
    ledger,
    'an undeletion',
    (client) => client.undeleteFile({ fileId: file.id }, BOUND),
    (said) => {
      if (unsure && said.reason === 'FILE_NOT_DELETED') return 'done';
      unsure ||= said.unsure;
      return undefined;
    },
  );
  file.deletion = 'none';
}

/** Checks during failures that acknowledged files are there, or that the error can be retried. */
async function read(world: Deployment, ledger: Ledger, file: KnownFile | undefined): Promise<void> {
  if (!file || file.deletion !== 'none') return;
  const source = { case: 'fileId' as const, value: file.id };
  try {
    await anyClient(world).getFileUrl({ source }, BOUND);
  } catch (error) {
    if (told(error).reason === 'FILE_NOT_FOUND') ledger.breach('lost', `${file.id} was not found`);
    else judge(ledger, 'asking for a URL', error);
  }
}
