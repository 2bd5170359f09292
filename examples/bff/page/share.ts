import { call, Problem, type FileRecord } from './api.ts';
import { h, icon } from './dom.ts';
import { moment, t } from './i18n.ts';
import { toast } from './toast.ts';

/** How long a link may live, in seconds. */
const LIVES = { hour: 3_600, day: 86_400, week: 604_800, month: 2_592_000 } as const;

/** Makes the form that creates a link for everybody. */
export function shareForm(file: FileRecord): HTMLElement {
  const life = h(
    'select',
    { id: 'share-life' },
    ...Object.entries(LIVES).map(([name, seconds]) =>
      h('option', { value: seconds }, t(name as keyof typeof LIVES)),
    ),
  );
  life.value = String(LIVES.week);
  const result = h('div', { class: 'link' });

  const create = async (event: Event) => {
    event.preventDefault();
    try {
      const body = { expiresInSeconds: Number(life.value) };
      const { url, expireTime } = await call<{ url: string; expireTime: string }>(
        `/api/files/${file.id}/shares`,
        'POST',
        body,
      );
      const link = h('input', { readonly: true, value: url, 'aria-label': t('link') });
      const copy = async () => {
        await navigator.clipboard.writeText(url);
        toast(t('copied'));
      };
      const button = h('button', { type: 'button', onclick: () => void copy() }, t('copy'));
      result.replaceChildren(
        h('div', { class: 'row' }, link, button),
        h('p', { class: 'quiet' }, t('linkUntil', { date: moment(expireTime) })),
      );
      link.select();
      link.focus();
    } catch (error) {
      const text = error instanceof Problem ? error.message : t('networkFailed');
      result.replaceChildren(h('p', { class: 'problem', role: 'alert' }, text));
    }
  };
  return h(
    'section',
    { class: 'share', 'aria-labelledby': 'share-title' },
    h('h3', { id: 'share-title' }, t('share')),
    h('p', { class: 'quiet' }, t('shareHint')),
    h(
      'form',
      { class: 'row', onsubmit: (event) => void create(event) },
      h('label', { for: 'share-life' }, t('shareFor')),
      life,
      h('button', {}, icon('share'), t('createLink')),
    ),
    result,
  );
}
