import type { VariantProblem } from '../errors/variants.ts';
import type { RenditionFormat, WantedFormat } from '../files/renditions.ts';
import type { VariantDefinition } from '../files/policy/variant-definition.ts';

/** What a child process is to make of an image. */
export interface Job extends Pick<VariantDefinition, 'width' | 'height' | 'fit' | 'quality'> {
  readonly format: WantedFormat;
  /** True to make the thumbhash too. */
  readonly thumbhash: boolean;
}

/** An image that was made. */
export interface Made {
  readonly format: RenditionFormat;
  readonly bytes: Buffer;
  readonly thumbhash: Uint8Array | undefined;
}

/** What a child process sends after a job: the image follows as the body, or there is none. */
export type JobAnswer =
  | { readonly format: RenditionFormat; readonly sizeBytes: number; readonly thumbhash: string }
  | { readonly problem: VariantProblem; readonly detail: string };

/** Maximum number of pixels of an image to decode. */
export const MAX_SOURCE_PIXELS = 50_000_000;

/** Maximum size of a variant in bytes. */
export const MAX_RESULT_BYTES = 16 * 1024 * 1024;

/** Why an image cannot be made; thrown by the child's code. */
export class JobFailure extends Error {
  readonly problem: VariantProblem;

  constructor(problem: VariantProblem, detail: string) {
    super(detail);
    this.name = 'JobFailure';
    this.problem = problem;
  }
}
