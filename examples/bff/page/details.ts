import { call, currentSession, Problem, type FileRecord } from './api.ts';
import { contentUrl, placeUnder, preview } from './card.ts';
import { h, icon } from './dom.ts';
import { bytes, moment, named, t } from './i18n.ts';
import type { FileList } from './list.ts';
import { shareForm } from './share.ts';
import { toast } from './toast.ts';

/** Makes the dialog that shows a file, changes what describes it, shares and deletes it. */
export function detailsDialog(list: () => FileList): {
  dialog: HTMLDialogElement;
  open: (file: FileRecord) => void;
} {
  const dialog = h('dialog', { class: 'details', 'aria-labelledby': 'details-title' });
  let shown: FileRecord | undefined;
  dialog.addEventListener('close', () => shown && list().focus(shown.id));
  // A click beside the dialog closes it.
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());

  function open(file: FileRecord): void {
    shown = file;
    dialog.replaceChildren(...(file.deleteTime === undefined ? content(file) : deletedContent(file)));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }

  function content(file: FileRecord): HTMLElement[] {
    const isMine = file.owner === currentSession().user?.id;
    const download = h(
      'a',
      { class: 'button', href: contentUrl(file, { download: '1' }), download: file.name },
      icon('download'),
      t('download'),
    );
    const remove = h(
      'button',
      { type: 'button', class: 'danger', onclick: () => void run(deleteFile(file)) },
      icon('trash'),
      t('delete'),
    );
    const shares = currentSession().settings.sharing;
    const seen = h(
      'div',
      {},
      large(file),
      facts(file),
      h('div', { class: 'row' }, download, isMine && remove),
    );
    const edited = isMine && h('div', {}, form(file), shares && shareForm(file));
    return [heading(file), h('div', { class: isMine ? 'columns' : '' }, seen, edited)];
  }

  function deletedContent(file: FileRecord): HTMLElement[] {
    const restore = h(
      'button',
      { type: 'button', class: 'primary', onclick: () => void run(restoreFile(file)) },
      icon('restore'),
      t('restore'),
    );
    return [
      heading(file),
      facts(file),
      h('p', {}, t('purged', { date: moment(file.purgeTime) })),
      h('div', { class: 'row' }, restore),
    ];
  }

  function heading(file: FileRecord): HTMLElement {
    const close = h(
      'button',
      { type: 'button', class: 'bare', 'aria-label': t('close'), onclick: () => dialog.close() },
      icon('close'),
    );
    return h(
      'div',
      { class: 'row spread' },
      h('h2', { id: 'details-title', class: 'name' }, file.name || file.id),
      close,
    );
  }

  function form(file: FileRecord): HTMLElement {
    const { settings } = currentSession();
    const name = h('input', { id: 'edit-name', value: file.name, required: true, maxlength: 255 });
    const usage = h(
      'select',
      { id: 'edit-usage' },
      ...settings.usages.map((one) => h('option', { value: one.name }, named('one', one.name))),
    );
    usage.value = file.usage;
    const fields = settings.attributes.map((attribute) => {
      const value = file.attributes[attribute];
      const properties = { id: `edit-${attribute}`, maxlength: 2000 };
      const input =
        attribute === 'description' ? h('textarea', { ...properties, rows: 3 }) : h('input', properties);
      input.value = typeof value === 'string' ? value : '';
      return { attribute, input };
    });
    const problem = h('p', { class: 'problem', role: 'alert' });
    const save = async (event: Event) => {
      event.preventDefault();
      const changed = fields.filter(
        ({ attribute, input }) => input.value !== (file.attributes[attribute] ?? ''),
      );
      const changes = {
        ...(name.value !== file.name && { name: name.value }),
        ...(usage.value !== file.usage && { usage: usage.value }),
        // An emptied field is cleared.
        ...(changed.length > 0 && {
          attributes: Object.fromEntries(
            changed.map(({ attribute, input }) => [attribute, input.value || null]),
          ),
        }),
      };
      if (Object.keys(changes).length === 0) return dialog.close();
      try {
        const saved = await call<FileRecord>(`/api/files/${file.id}`, 'PATCH', changes, {
          'if-match': `"${file.etag}"`,
        });
        list().show(saved);
        dialog.close();
        toast(t('saved', { name: saved.name }));
      } catch (error) {
        problem.textContent = textOf(error);
      }
    };
    return h(
      'form',
      { class: 'fields', onsubmit: (event) => void save(event) },
      h('label', { for: 'edit-name' }, t('name')),
      name,
      h('label', { for: 'edit-usage' }, t('usage')),
      usage,
      ...fields.flatMap(({ attribute, input }) => [
        h('label', { for: `edit-${attribute}` }, named('attribute', attribute)),
        input,
      ]),
      problem,
      h('div', { class: 'row end' }, h('button', { class: 'primary' }, t('save'))),
    );
  }

  async function deleteFile(file: FileRecord): Promise<void> {
    const deleted = await call<FileRecord>(`/api/files/${file.id}`, 'DELETE');
    list().show(deleted);
    dialog.close();
    toast(t('deleted', { name: file.name }), { label: t('undo'), run: () => void run(restoreFile(file)) });
  }

  async function restoreFile(file: FileRecord): Promise<void> {
    const restored = await call<FileRecord>(`/api/files/${file.id}/restore`, 'POST');
    list().show(restored);
    dialog.close();
    list().focus(file.id);
    toast(t('restored', { name: file.name }));
  }

  /** A failure is told; the file stays as it is. */
  function run(work: Promise<void>): Promise<void> {
    return work.catch((error: unknown) => toast(textOf(error), undefined, true));
  }

  return { dialog, open };
}

/** A preview as large as the dialog: image, sound or film. */
function large(file: FileRecord): HTMLElement {
  const kind = file.contentType.split('/')[0];
  if (kind === 'audio' || kind === 'video') {
    const src = contentUrl(file);
    return h(
      'div',
      { class: 'large' },
      h(kind, { src, controls: true, preload: 'metadata', 'aria-label': file.name }),
    );
  }
  const box = preview(file, 'large');
  box.classList.add('large');
  const image = box.querySelector('img');
  if (image !== null && !image.complete) {
    // Whether it comes decides only how the wait looks.
    call<FileRecord>(`/api/files/${file.id}`).then(
      ({ thumbhash }) => thumbhash !== undefined && placeUnder(box, thumbhash),
      () => undefined,
    );
  }
  return box;
}

function facts(file: FileRecord): HTMLElement {
  const isMine = file.owner === currentSession().user?.id;
  const rows: [string, string][] = [
    [t('type'), file.contentType],
    [t('size'), bytes(file.sizeBytes)],
    [t('added'), moment(file.createTime)],
    [t('ownedBy'), isMine ? t('you') : file.owner],
  ];
  return h(
    'dl',
    { class: 'facts' },
    ...rows.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]),
  );
}

const textOf = (error: unknown) => (error instanceof Problem ? error.message : t('networkFailed'));
