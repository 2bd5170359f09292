import { thumbHashToApproximateAspectRatio, thumbHashToDataURL } from 'thumbhash';
import { currentSession, type FileRecord } from './api.ts';
import { h, icon, type IconName } from './dom.ts';
import { bytes, day, t } from './i18n.ts';

/** Types that every browser shows as an image. */
const SHOWN = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif']);

/** Types that the service makes smaller images of. */
const WITH_VARIANTS = new Set([...SHOWN, 'image/apng', 'application/pdf']);

/** Largest file that is shown itself where there is no smaller image of it, in bytes. */
const MAX_SHOWN_BYTES = 4 * 1024 * 1024;

/** Where the bytes of a file are, for `src` and `href`. */
export function contentUrl({ id, name }: FileRecord, query: Record<string, string> = {}): string {
  const search = new URLSearchParams(query).toString();
  return `/files/${encodeURIComponent(id)}/${encodeURIComponent(name || id)}${search && `?${search}`}`;
}

/** The drawing for a type. */
export function iconOf(contentType: string): IconName {
  if (contentType.startsWith('image/')) return 'picture';
  if (contentType.startsWith('audio/')) return 'audio';
  if (contentType.startsWith('video/')) return 'video';
  return /zip|tar|compressed|7z/.test(contentType) ? 'archive' : 'document';
}

/** What an image element may show of a file, best first: a smaller image, then the file itself. */
function sources(file: FileRecord, variant: string | undefined): string[] {
  const type = file.contentType.split(';')[0]!;
  const isSmall = file.sizeBytes <= MAX_SHOWN_BYTES;
  return [
    ...(variant !== undefined && WITH_VARIANTS.has(type) ? [contentUrl(file, { variant })] : []),
    ...(SHOWN.has(type) && isSmall ? [contentUrl(file)] : []),
  ];
}

/**
 * A preview, or a drawing for what has none.
 *
 * @param size - which of the product's variants to show
 */
export function preview(file: FileRecord, size: 'small' | 'large' = 'small'): HTMLElement {
  const drawing = () => icon(iconOf(file.contentType));
  const left = file.deleteTime === undefined ? sources(file, currentSession().settings.previews[size]) : [];
  const first = left.shift();
  if (first === undefined) return h('div', { class: 'preview' }, drawing());
  const image = h('img', { src: first, alt: '', loading: 'lazy', decoding: 'async' });
  const box = h('div', { class: 'preview' }, image);
  image.addEventListener('error', () => {
    const next = left.shift();
    if (next === undefined) box.replaceChildren(drawing());
    else image.src = next;
  });
  return box;
}

/** Shows the placeholder of an image until it is loaded. */
export function placeUnder(box: HTMLElement, thumbhash: string): void {
  const image = box.querySelector('img');
  if (image === null || image.complete) return;
  const bytes = Uint8Array.from(atob(thumbhash), (character) => character.charCodeAt(0));
  image.style.backgroundImage = `url(${thumbHashToDataURL(bytes)})`;
  image.style.aspectRatio = String(thumbHashToApproximateAspectRatio(bytes));
  image.classList.add('placeholder');
  const done = () => {
    image.removeAttribute('style');
    image.classList.remove('placeholder');
  };
  for (const event of ['load', 'error']) image.addEventListener(event, done, { once: true });
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
