import { AssetError } from './asset-error.ts';

/** After a process that makes variants did not start, how long no other one is started, in milliseconds. */
export const START_RETRY_MS = 5_000;

/** Why no variant can be made of a file; `problem` in the metadata of VARIANT_IMPOSSIBLE. */
export type VariantProblem =
  | ('not-an-image' | 'too-large' | 'too-many-pixels' | 'damaged' | 'too-slow' | 'too-much-memory')
  | 'result-too-large';

/** What each problem is, for the caller. */
const TEXTS: Record<VariantProblem, string> = {
  'not-an-image': 'the file is of none of the types that variants are made of',
  'too-large': 'the file is too large',
  'too-many-pixels': 'the image has too many pixels',
  damaged: 'the file is damaged or protected by a password',
  'too-slow': 'the image takes too long to decode',
  'too-much-memory': 'the image takes too much memory to decode',
  'result-too-large': 'the variant would be too large',
};

/**
 * The error of a request for a variant of a file of which none can be made.
 *
 * @param accepted - the types that variants are made of, for `not-an-image`
 */
export function variantImpossible(
  file: { readonly id: string; readonly contentType: string },
  variant: string,
  problem: VariantProblem,
  accepted: readonly string[],
): AssetError {
  const types = accepted.join(', ');
  const isOther = problem === 'not-an-image';
  const text = isOther ? `${TEXTS[problem]} (${types})` : TEXTS[problem];
  return new AssetError(
    'VARIANT_IMPOSSIBLE',
    `no variant can be made: ${text}; show the file itself or a placeholder`,
    {
      metadata: {
        ...{ file_id: file.id, variant, problem },
        ...(isOther && { content_type: file.contentType, accepted_types: types }),
      },
    },
  );
}

/**
 * The error of a request for a variant that is not made yet, while the processes that make them do not start.
 *
 * @param cause - why, for the operator
 */
export function variantsUnavailable(cause: unknown): AssetError {
  return new AssetError('VARIANTS_UNAVAILABLE', 'variants cannot be made right now: try again later', {
    cause,
    retryAfterMs: START_RETRY_MS,
  });
}

/** True for a text that is a {@link VariantProblem}. */
export function isVariantProblem(text: string): text is VariantProblem {
  return Object.hasOwn(TEXTS, text);
}
