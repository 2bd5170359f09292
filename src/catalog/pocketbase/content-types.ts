import { LRUCache } from 'lru-cache';
import { quote } from './client.ts';

/** Maximum number of types that are queried separately. */
const MAX_TYPES = 32;

/** A half-open range of texts. */
type Range = readonly [from: string, to: string];

/** Finds the content type of any file that meets one of the conditions; undefined if there is none. */
export type FindType = (conditions: readonly string[]) => Promise<string | undefined>;

/**
 * Caches which content types exist, with parameters, in lower case. An index returns files in list order only for
 * one exact text, so `image/*`, or a type with any parameters, is queried text by text.
 */
export class ContentTypes {
  readonly #field: string;
  readonly #known = new LRUCache<string, Set<string>>({ max: 500 });

  /** @param field - the field of content types */
  constructor(field: string) {
    this.#field = `${field}:lower`;
  }

  /**
   * The texts that a filter by `type` means; may include some that no file has. Undefined if they are too many.
   *
   * @param find - gets conditions on content types only, and may add to them
   */
  async meantBy(type: string, find: FindType): Promise<readonly string[] | undefined> {
    const known = this.#known.get(type) ?? new Set(type.endsWith('/*') ? [] : [type]);
    const ranges = rangesOf(type);
    for (;;) {
      if (known.size > MAX_TYPES) return undefined;
      const found = (await find(this.#other(ranges, known)))?.replace(/[A-Z]/g, (letter) =>
        letter.toLowerCase(),
      );
      if (found === undefined) return [...known];
      // PocketBase compares differently than this code assumes, so the filter would miss files.
      if (known.has(found)) return undefined;
      known.add(found);
      // Cached only if files of the type exist.
      this.#known.set(type, known);
    }
  }

  /** Conditions for the types in the ranges that are not known yet: the gaps between known ones. */
  #other(ranges: readonly Range[], known: ReadonlySet<string>): string[] {
    const parts: string[] = [];
    for (const [from, to] of ranges) {
      const inside = [...known].filter((one) => one >= from && one < to).sort(byCharacters);
      let after = `${this.#field}>=${quote(from)}`;
      for (const one of inside) {
        if (one !== from) parts.push(`${after}&&${this.#field}<${quote(one)}`);
        after = `${this.#field}>${quote(one)}`;
      }
      parts.push(`${after}&&${this.#field}<${quote(to)}`);
    }
    return parts;
  }
}

/** Ranges of texts that mean a type with any parameters, or all types of a kind. */
export function rangesOf(type: string): readonly Range[] {
  if (type.endsWith('/*')) return [startingWith(type.slice(0, -1))];
  // The type itself and the type followed by white space ("!" is the next character), then with parameters.
  return [[type, `${type}!`], startingWith(`${type};`)];
}

/** Up to the first text after all with this start: the last character plus one. */
function startingWith(text: string): Range {
  return [text, text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1)];
}

function byCharacters(a: string, b: string): number {
  return a < b ? -1 : 1;
}
