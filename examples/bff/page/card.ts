import type { FileRecord } from './api.ts';
import { h, icon, type IconName } from './dom.ts';
import { bytes, day, t } from './i18n.ts';

/** Types that every browser shows as an image. */
const SHOWN = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif']);

/** Where the bytes of a file are, for `src` and `href`. */
export function contentUrl({ id, name }: FileRecord, download = false): string {
  return `/files/${encodeURIComponent(id)}/${encodeURIComponent(name || id)}${download ? '?download=1' : ''}`;
}

/** True for a file that an image element can show. */
export const isImage = ({ contentType }: FileRecord) => SHOWN.has(contentType.split(';')[0]!);

/** The drawing for a type. */
export function iconOf(contentType: string): IconName {
  if (contentType.startsWith('image/')) return 'picture';
  if (contentType.startsWith('audio/')) return 'audio';
  if (contentType.startsWith('video/')) return 'video';
  return /zip|tar|compressed|7z/.test(contentType) ? 'archive' : 'document';
}

/** A preview, or a drawing for what has none. */
export function preview(file: FileRecord): HTMLElement {
  const drawing = () => icon(iconOf(file.contentType));
  if (!isImage(file) || file.deleteTime !== undefined) return h('div', { class: 'preview' }, drawing());
  const image = h('img', { src: contentUrl(file), alt: '', loading: 'lazy', decoding: 'async' });
  const box = h('div', { class: 'preview' }, image);
  image.addEventListener('error', () => box.replaceChildren(drawing()));
  return box;
}

/** One file of the list. */
export function card(file: FileRecord, open: (file: FileRecord) => void): HTMLLIElement {
  const title = typeof file.attributes['title'] === 'string' ? file.attributes['title'] : '';
  const facts =
    file.deleteTime === undefined
      ? `${bytes(file.sizeBytes)} · ${day(file.createTime)}`
      : t('purged', { date: day(file.purgeTime) });
  return h(
    'li',
    { class: file.deleteTime === undefined ? 'card' : 'card deleted', 'data-id': file.id },
    h(
      'button',
      { type: 'button', onclick: () => open(file) },
      preview(file),
      h(
        'span',
        { class: 'facts' },
        h('span', { class: 'unseen' }, t('open')),
        h('span', { class: 'name' }, title || file.name || file.id),
        h('span', { class: 'quiet' }, facts),
      ),
    ),
  );
}
