/** Maximum width and height of a variant in pixels. */
export const MAX_PIXELS = 4_096;

/** Maximum width and height of an AVIF: encoding a larger one takes too long. */
export const MAX_AVIF_PIXELS = 1_200;

/** How the policy of a usage defines one variant of its images. */
export interface VariantDefinition {
  /** Size in pixels. One of the two may be missing: then the image keeps its proportions. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  /**
   * `cover` fills the size and cuts off what is outside, `contain` fits the image into the size and adds margins, `inside`
   * makes it at most so large and never enlarges it.
   */
  readonly fit: 'cover' | 'contain' | 'inside';
  /** `auto`: what the browser accepts, by its `Accept` header. */
  readonly format: 'auto' | 'webp' | 'jpeg' | 'png' | 'avif';
  /** 1 to 100; undefined for the default of the format. PNG has none. */
  readonly quality?: number | undefined;
  /** When it is made: on the first request, or also right after an upload. */
  readonly at: 'request' | 'upload';
}
