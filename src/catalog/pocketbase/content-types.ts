import { LRUCache } from 'lru-cache';
import { quote } from './client.ts';

/** More different types than these are not asked for one by one. */
const MAX_TYPES = 32;

/** A half-open range of texts. */
type Range = readonly [from: string, to: string];

/** Finds the content type of any file that meets one of the conditions; undefined if there is none. */
export type FindType = (conditions: readonly string[]) => Promise<string | undefined>;

/**
 * Knows which content types there are, parameters and all, in lower case. An index gives files in the order of a list for
 * one whole text alone: for `image/*`, or a type whose parameters do not matter, each text is asked for by itself.
 */
export class ContentTypes {
  readonly #field: string;
  readonly #known = new LRUCache<string, Set<string>>({ max: 500 });

  /** @param field - the collection's field of content types */
  constructor(field: string) {
    this.#field = `${field}:lower`;
  }

  /**
   * The texts that a filter by `type` means, and maybe some that no file has. Undefined where they are too many.
   *
   * @param find - is given conditions on content types alone, and may add to each
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
      // What the filter leaves out cannot be found: PocketBase compares in another way than is thought here.
      if (known.has(found)) return undefined;
      known.add(found);
      // What a caller asks for is kept where there is something of it.
      this.#known.set(type, known);
    }
  }

  /** The conditions of the types in the ranges that are not known yet: what lies between those that are. */
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

/** Where the texts lie that stand for a type, which may have parameters, or for every type of a kind. */
export function rangesOf(type: string): readonly Range[] {
  if (type.endsWith('/*')) return [startingWith(type.slice(0, -1))];
  // The type itself, and with white space behind it: "!" is the next character after those. Then with parameters.
  return [[type, `${type}!`], startingWith(`${type};`)];
}

/** Up to the first text after all that start so: the last character, one higher. */
function startingWith(text: string): Range {
  return [text, text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1)];
}

function byCharacters(a: string, b: string): number {
  return a < b ? -1 : 1;
}
