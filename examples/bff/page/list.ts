import { call, Problem, type FilePage, type FileRecord } from './api.ts';
import { card } from './card.ts';
import { h, icon } from './dom.ts';
import { filters, type Wanted } from './filters.ts';
import { t, tn } from './i18n.ts';
import { announce } from './live.ts';

const PAGE_SIZE = 48;

/** The list of files. */
export interface FileList {
  readonly element: HTMLElement;
  /** Reads it again from the start. */
  reload(): Promise<void>;
  /** Shows a file as it is now, or takes it away if it does not belong here any more. */
  show(file: FileRecord): void;
  /** Moves the focus to a file, or to the list where it is gone. */
  focus(id: string): void;
}

/** Makes the list, with its search. */
export function fileList(open: (file: FileRecord) => void): FileList {
  const cards = h('ul', { class: 'cards' });
  const count = h('p', { class: 'quiet count' });
  const state = h('div', { class: 'state' });
  const more = h(
    'button',
    { type: 'button', class: 'more', hidden: true, onclick: () => void load() },
    t('more'),
  );
  const heading = h('h2', { tabindex: -1 }, t('filesTitle'));
  const search = filters(() => void reload());
  const element = h(
    'section',
    { class: 'files', 'aria-busy': 'true' },
    h('div', { class: 'row spread' }, heading, count),
    search.element,
    cards,
    state,
    more,
  );

  let token: string | null = null;
  /** Answers for what was asked before are thrown away. */
  let asked = 0;

  async function load(): Promise<void> {
    const mine = ++asked;
    element.setAttribute('aria-busy', 'true');
    try {
      const wanted = search.wanted();
      const page = await nextPage(wanted, token);
      if (mine !== asked) return;
      token = page.nextPageToken;
      cards.append(...page.files.filter((file) => belongs(file, wanted)).map((file) => card(file, open)));
      settle();
    } catch (error) {
      if (mine === asked) fail(error);
    } finally {
      if (mine === asked) element.setAttribute('aria-busy', 'false');
    }
  }

  async function reload(): Promise<void> {
    token = null;
    const before = cards.children.length;
    const focused = document.activeElement?.closest<HTMLElement>('[data-id]')?.dataset['id'];
    const stale = [...cards.children];
    if (before === 0) state.replaceChildren(h('p', { class: 'quiet' }, t('loading')));
    const mine = asked + 1;
    await load();
    if (asked !== mine) return;
    for (const one of stale) one.remove();
    settle();
    if (focused !== undefined) focus(focused);
  }

  function settle(): void {
    const { length } = cards.children;
    more.hidden = token === null;
    count.textContent = token === null ? tn('count', length) : t('countMore', { count: length });
    announce(count.textContent);
    if (length > 0) return state.replaceChildren();
    const { usage, owner, deleted } = search.wanted();
    const isFiltered = usage !== '' || owner === '' || deleted;
    state.replaceChildren(
      h(
        'div',
        { class: 'empty' },
        icon('files'),
        h('h3', {}, isFiltered ? t('emptyFilter') : t('emptyTitle')),
        !isFiltered && h('p', { class: 'quiet' }, t('emptyText')),
      ),
    );
  }

  function fail(error: unknown): void {
    const text = error instanceof Problem ? error.message : t('networkFailed');
    const again = h('button', { type: 'button', onclick: () => void reload() }, t('reload'));
    state.replaceChildren(h('div', { class: 'empty' }, h('p', { role: 'alert' }, text), again));
  }

  function find(id: string): Element | null {
    return cards.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  function focus(id: string): void {
    (find(id)?.querySelector('button') ?? heading).focus();
  }

  return {
    element,
    reload,
    focus,
    show(file) {
      const old = find(file.id);
      if (!belongs(file, search.wanted())) old?.remove();
      else if (old) old.replaceWith(card(file, open));
      else cards.prepend(card(file, open));
      settle();
    },
  };
}

/** The next page that has files, or the end. */
async function nextPage(wanted: Wanted, token: string | null): Promise<FilePage> {
  const query = new URLSearchParams({ pageSize: String(PAGE_SIZE) });
  if (wanted.usage) query.set('usage', wanted.usage);
  if (wanted.owner) query.set('owner', wanted.owner);
  if (wanted.deleted) query.set('deleted', 'true');
  for (;;) {
    if (token !== null) query.set('pageToken', token);
    const page = await call<FilePage>(`/api/files?${query}`);
    // A page may be empty although there are more.
    if (page.nextPageToken === null || page.files.some((file) => belongs(file, wanted))) return page;
    token = page.nextPageToken;
  }
}

function belongs(file: FileRecord, { usage, owner, deleted }: Wanted): boolean {
  if ((file.deleteTime !== undefined) !== deleted) return false;
  return (usage === '' || file.usage === usage) && (owner === '' || file.owner === owner);
}
