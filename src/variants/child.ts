import { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { CHECK } from './engine.ts';
import { FrameReader, frameHeader } from './frames.ts';
import { JobFailure, type Job, type JobAnswer } from './job.ts';
import { loadPdfium } from './pdf.ts';
import { assertFormats, render, restrictSharp } from './render.ts';

// The child process that decodes images: the only one that gets bytes of callers into a decoder. Its parent may kill it at
// any time; it has no settings, no credentials and no files.

/** The descriptor of the connection to the parent. */
const PARENT_FD = 3;

/** Ends this process if its parent is gone, also while a decoder occupies the main thread. */
const WATCHDOG = `
const parent = ${process.ppid};
setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL'); }, 500);
`;

async function main(): Promise<void> {
  new Worker(WATCHDOG, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 8 } }).unref();
  assertFormats();
  if (process.argv.includes(CHECK)) await loadPdfium();
  restrictSharp();
  const parent = new Socket({ fd: PARENT_FD });
  const frames = new FrameReader(parent);
  parent.write(frameHeader({ ready: true }));
  for (;;) {
    const job = (await frames.header()) as (Job & { readonly sizeBytes: number }) | undefined;
    if (job === undefined) return;
    const file = await frames.bytes(job.sizeBytes);
    if (file === undefined) return;
    const { answer, body } = await answerTo(file, job);
    parent.write(frameHeader(answer));
    parent.write(body);
  }
}

async function answerTo(file: Buffer, job: Job): Promise<{ answer: JobAnswer; body: Uint8Array }> {
  try {
    const { format, bytes, thumbhash } = await render(file, job);
    const hash = thumbhash === undefined ? '' : Buffer.from(thumbhash).toString('base64');
    return { answer: { format, sizeBytes: bytes.length, thumbhash: hash }, body: bytes };
  } catch (error) {
    if (!(error instanceof JobFailure)) throw error;
    const answer = { problem: error.problem, detail: error.message.slice(0, 500) };
    return { answer, body: new Uint8Array() };
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  },
);
