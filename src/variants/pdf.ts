import { PDFiumLibrary } from '@hyzyla/pdfium';
import { MAX_PIXELS } from '../files/policy/variant-definition.ts';
import { JobFailure, type Job } from './job.ts';

// Runs in the child process alone.

/** Readers look for the mark of a PDF within this many bytes. */
const MARK_WITHIN = 1_024;

/** True if the bytes are those of a PDF. */
export function isPdf(file: Buffer): boolean {
  return file.subarray(0, MARK_WITHIN).includes('%PDF-');
}

let library: Promise<PDFiumLibrary> | undefined;

/** Loads the library that draws PDFs. */
export function loadPdfium(): Promise<PDFiumLibrary> {
  library ??= PDFiumLibrary.init();
  return library;
}

/**
 * Draws the first page on white, large enough for the job. Scripts are not run: the library has no JavaScript engine.
 *
 * @returns pixels of four bytes each
 * @throws JobFailure
 */
export async function renderFirstPage(
  file: Buffer,
  { width, height }: Pick<Job, 'width' | 'height'>,
): Promise<{ readonly data: Buffer; readonly width: number; readonly height: number }> {
  const pdfium = await loadPdfium();
  try {
    const document = await pdfium.loadDocument(file);
    try {
      const page = document.getPage(0);
      const { originalWidth, originalHeight } = page.getOriginalSize();
      const longest = Math.max(originalWidth, originalHeight);
      if (!(originalWidth >= 1 && originalHeight >= 1 && Number.isFinite(longest))) {
        throw new JobFailure('damaged', 'the first page has no size');
      }
      const wanted = Math.max((width ?? 0) / originalWidth, (height ?? 0) / originalHeight);
      const scale = Math.min(wanted, MAX_PIXELS / longest);
      const drawn = await page.render({
        scale,
        render: ({ data }) => Promise.resolve(data),
        renderFormFields: false,
      });
      return { data: Buffer.from(drawn.data), width: drawn.width, height: drawn.height };
    } finally {
      document.destroy();
    }
  } catch (error) {
    if (error instanceof JobFailure) throw error;
    throw new JobFailure('damaged', error instanceof Error ? error.message : String(error));
  }
}
