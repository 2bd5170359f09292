import type { FieldValues } from '../catalog/legacy-records.ts';
import type { Layout } from './layout.ts';

/** Form of an old path: a key of the bucket, a path of PocketBase's files, or a whole URL of either. */
export type PathKind = 'bucket' | 'api' | 'url';

/** Possible meanings of an old path. */
export interface OldPath {
  readonly kind: PathKind;
  /** Ids of the possible records, the most likely first. */
  readonly ids: readonly string[];
  /** Those of them that the path names if no value of a field has a slash. */
  readonly plainIds: readonly string[];
  /** The key among `keys` (those of the record with `fields`) that the path names, if any. */
  keyAmong(keys: readonly string[], fields: FieldValues): string | undefined;
}

/** Path of a PocketBase file, under any address. */
const API_PATH = /(?:^|\/)api\/files\/([^/]+)\/([^/]+)\/(.+)$/s;

/** Key of a PocketBase thumbnail: the file's own key with two more segments. */
const THUMB = /^(.*)\/thumbs_([^/]+)\/[^/]*_\2$/s;

const MAX_IDS = 8;

/**
 * Parses an old path. It may be escaped or not, start with a slash, the name of the bucket or a proxy's prefix, and
 * end with a query. It names a file only if a part of it is exactly a key of that file. The path of a thumbnail
 * means the original.
 */
export function readOldPath(path: string, layouts: readonly Layout[]): OldPath {
  const whole = /^https?:\/\/[^/?#]*(.*)$/is.exec(path)?.[1];
  const texts = readings(whole ?? path);
  const endings = texts.flatMap(endingsOf);
  const api = texts.flatMap((text) => {
    const [, collection, id, name] = API_PATH.exec(text) ?? [];
    return collection && id && name ? [{ collection, id, name }] : [];
  });
  const kind = whole !== undefined ? 'url' : api.length > 0 ? 'api' : 'bucket';
  const idsBy = (patterns: readonly RegExp[]) =>
    endings.flatMap((text) => patterns.flatMap((pattern) => pattern.exec(text)?.groups?.['id'] ?? []));
  const plain = [...api.map(({ id }) => id), ...idsBy(layouts.flatMap(({ patterns }) => patterns))];
  const slashed = idsBy(layouts.map((layout) => layout.slashed));
  return {
    kind,
    ids: [...new Set([...plain, ...slashed])].slice(0, MAX_IDS),
    plainIds: [...new Set(plain)].slice(0, MAX_IDS),
    keyAmong(keys, fields) {
      const exact = keys.find((key) => endings.includes(key));
      if (exact !== undefined) return exact;
      const ofApi = keys.find((key) =>
        api.some(({ collection, id, name }) => {
          const names = [...(fields['collection_id'] ?? []), ...(fields['collection_name'] ?? [])];
          return names.includes(collection) && fields['id']?.[0] === id && key.endsWith(`/${id}/${name}`);
        }),
      );
      // Some programs normalise names in transfer.
      const normal = new Set(endings.map((text) => text.normalize()));
      return ofApi ?? keys.find((key) => normal.has(key.normalize()));
    },
  };
}

/** The key of which a key is a PocketBase thumbnail; undefined if it is none. */
export function originalOf(key: string): string | undefined {
  return THUMB.test(key) ? key.replace(THUMB, '$1/$2') : undefined;
}

/** The possible readings of a text: escaped or not, with or without query. */
function readings(text: string): readonly string[] {
  const cut = [text, text.replace(/[?#].*$/s, '')];
  const all = cut.flatMap((one) => [one, unescaped(one), unescaped(one.replaceAll('+', ' '))]);
  const thumbs = all.flatMap((one) => one.replace(THUMB, '$1/$2'));
  return [...new Set([...all, ...thumbs])];
}

/** The text from each of its segments on. */
function endingsOf(text: string): readonly string[] {
  const endings = [text];
  for (let at = text.indexOf('/'); at >= 0; at = text.indexOf('/', at + 1)) endings.push(text.slice(at + 1));
  return endings.slice(0, 32);
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // The percent sign is not part of an escape.
    return text;
  }
}
