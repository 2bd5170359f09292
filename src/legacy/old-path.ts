import type { FieldValues } from '../catalog/legacy-records.ts';
import type { Layout } from './layout.ts';

/** Form of a path of the old system: a key of the bucket, a path of PocketBase's files, or a whole URL of either. */
export type PathKind = 'bucket' | 'api' | 'url';

/** What a path of the old system may mean. */
export interface OldPath {
  readonly kind: PathKind;
  /** Ids of the records that it may be about, the likeliest first. */
  readonly ids: readonly string[];
  /** The key among `keys`, those of the record of `fields`, that the path names; undefined if it names none. */
  keyAmong(keys: readonly string[], fields: FieldValues): string | undefined;
}

/** Path of a file of PocketBase, below whatever address it is reached under. */
const API_PATH = /(?:^|\/)api\/files\/([^/]+)\/([^/]+)\/(.+)$/s;

/** Key of a thumb of PocketBase: the file's own key with two more segments. */
const THUMB = /^(.*)\/thumbs_([^/]+)\/[^/]*_\2$/s;

const MAX_IDS = 8;

/**
 * Reads a path of the old system. It may be escaped or not, begin with a slash, with the name of the bucket or with
 * whatever a proxy puts before the key, and end with a query: it names a file only where a part of it is a key of that
 * file exactly. The path of a thumb means the file that it was made of.
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
  const found = endings.flatMap((text) =>
    layouts.flatMap(({ pattern }) => pattern.exec(text)?.groups?.['id'] ?? []),
  );
  return {
    kind,
    ids: [...new Set([...api.map(({ id }) => id), ...found])].slice(0, MAX_IDS),
    keyAmong(keys, fields) {
      const exact = keys.find((key) => endings.includes(key));
      if (exact !== undefined) return exact;
      const ofApi = keys.find((key) =>
        api.some(({ collection, id, name }) => {
          const names = [...(fields['collection_id'] ?? []), ...(fields['collection_name'] ?? [])];
          return names.includes(collection) && fields['id']?.[0] === id && key.endsWith(`/${id}/${name}`);
        }),
      );
      // Some programs put names into a normal form on the way.
      const normal = new Set(endings.map((text) => text.normalize()));
      return ofApi ?? keys.find((key) => normal.has(key.normalize()));
    },
  };
}

/** What a text may say, by whether it is escaped and whether it has a query. */
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
    // A percent sign that is none of an escape.
    return text;
  }
}
