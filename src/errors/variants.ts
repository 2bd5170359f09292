import { AssetError } from './asset-error.ts';

/** Why no variant can be made of a file; `problem` in the metadata of VARIANT_IMPOSSIBLE. */
export type VariantProblem =
  | ('not-an-image' | 'too-large' | 'too-many-pixels' | 'damaged' | 'too-slow' | 'too-much-memory')
  | 'result-too-large';

/** What each problem is, for the caller. */
const TEXTS: Record<VariantProblem, string> = {
  'not-an-image': 'the file is no image of a type that variants are made of',
  'too-large': 'the file is too large',
  'too-many-pixels': 'the image has too many pixels',
  damaged: 'the file is damaged or protected by a password',
  'too-slow': 'the image takes too long to decode',
  'too-much-memory': 'the image takes too much memory to decode',
  'result-too-large': 'the variant would be too large',
};

/** The error of a request for a variant of a file of which none can be made. */
export function variantImpossible(fileId: string, variant: string, problem: VariantProblem): AssetError {
  return new AssetError(
    'VARIANT_IMPOSSIBLE',
    `no variant can be made: ${TEXTS[problem]}; show the file itself or a placeholder`,
    { metadata: { file_id: fileId, variant, problem } },
  );
}

/** True for a text that is a {@link VariantProblem}. */
export function isVariantProblem(text: string): text is VariantProblem {
  return Object.hasOwn(TEXTS, text);
}
