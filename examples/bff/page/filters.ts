import { currentSession } from './api.ts';
import { h } from './dom.ts';
import { named, t } from './i18n.ts';

/** What the list shows. */
export interface Wanted {
  readonly usage: string;
  /** Empty for everybody whose files the person may see. */
  readonly owner: string;
  readonly deleted: boolean;
}

const PERSON = 'person';

/** Makes the search: the usages side by side, then whose files. It is kept in the address, for the reload and for links. */
export function filters(onChange: (wanted: Wanted) => void): { element: HTMLElement; wanted: () => Wanted } {
  const { user, settings } = currentSession();
  const me = user!.id;
  const query = new URLSearchParams(location.search);
  let wanted: Wanted = {
    usage: query.get('usage') ?? '',
    owner: query.get('owner') ?? me,
    deleted: query.get('deleted') === 'true',
  };

  function change(to: Partial<Wanted>): void {
    wanted = { ...wanted, ...to };
    const kept = new URLSearchParams();
    if (wanted.usage) kept.set('usage', wanted.usage);
    if (wanted.owner !== me) kept.set('owner', wanted.owner);
    if (wanted.deleted) kept.set('deleted', 'true');
    history.replaceState(null, '', kept.size > 0 ? `/?${kept}` : '/');
    onChange(wanted);
  }

  const choices = [
    { id: 'all', label: t('all'), to: { usage: '', deleted: false } },
    ...settings.usages.map(({ name }) => ({
      ...{ id: name, label: named('usage', name), to: { usage: name, deleted: false } },
    })),
    { id: 'deleted-files', label: t('deletedFiles'), to: { usage: '', deleted: true } },
  ];
  const isChosen = (to: { usage: string; deleted: boolean }) =>
    wanted.usage === to.usage && wanted.deleted === to.deleted;
  const usages = h(
    'fieldset',
    { class: 'tabs' },
    h('legend', { class: 'unseen' }, t('usage')),
    ...choices.map(({ id, label, to }) =>
      h(
        'label',
        {},
        h('input', {
          type: 'radio',
          name: 'usage',
          value: id,
          checked: isChosen(to),
          onchange: () => change(to),
        }),
        h('span', {}, label),
      ),
    ),
  );

  const person = h('input', {
    ...{ id: 'person', 'aria-label': t('personId'), placeholder: t('personId'), maxlength: 255 },
    value: ['', me].includes(wanted.owner) ? '' : wanted.owner,
    hidden: ['', me].includes(wanted.owner),
    onchange: () => change({ owner: person.value.trim() || me }),
  });
  const owner = h(
    'select',
    {
      id: 'owner',
      onchange: () => {
        person.hidden = owner.value !== PERSON;
        if (owner.value === PERSON) person.focus();
        else change({ owner: owner.value });
      },
    },
    h('option', { value: me }, t('mine')),
    h('option', { value: '' }, t('anyone')),
    h('option', { value: PERSON }, t('person')),
  );
  owner.value = ['', me].includes(wanted.owner) ? wanted.owner : PERSON;
  const whose = h('div', { class: 'row' }, h('label', { for: 'owner' }, t('owner')), owner, person);
  const element = h(
    'form',
    { class: 'filters', role: 'search', onsubmit: (event) => event.preventDefault() },
    usages,
    whose,
  );
  return { element, wanted: () => wanted };
}
