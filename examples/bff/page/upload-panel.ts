import Dashboard from '@uppy/dashboard';
import { call, currentSession, type FileRecord, type Usage } from './api.ts';
import { h } from './dom.ts';
import { bytes, named, t, tn } from './i18n.ts';
import { announce } from './live.ts';
import { toast } from './toast.ts';
import { failureOf, isRefused, setUsage, type Upload, type Uploader } from './uploader.ts';

/** Progress is told to screen readers in steps of this many percent. */
const STEP = 25;

/** How long finished uploads stay in the area, in milliseconds. */
const SHOWN_MS = 2_500;

/** Makes the panel: what the files are for, and where to drop or choose them. */
export function uploadPanel(uppy: Uploader, onStored: (file: FileRecord) => void): HTMLElement {
  const { usages } = currentSession().settings;
  const area = h('div', { id: 'drop', class: 'drop', role: 'group', 'aria-label': t('uploadArea') });
  const note = h('p', { class: 'quiet', id: 'upload-note' });
  const choose = (usage: Usage) => {
    setUsage(uppy, usage);
    note.textContent = noteOf(usage);
  };
  const choice = h(
    'fieldset',
    { class: 'choice', 'aria-describedby': 'upload-note' },
    h('legend', {}, t('uploadFor')),
    ...usages.map((usage, index) =>
      h(
        'label',
        {},
        h('input', {
          type: 'radio',
          name: 'for',
          value: usage.name,
          checked: index === 0,
          onchange: () => choose(usage),
        }),
        h('span', {}, named('one', usage.name)),
      ),
    ),
  );
  choose(usages[0]!);
  uppy.use(Dashboard, {
    target: area,
    inline: true,
    width: '100%',
    height: 300,
    singleFileFullScreen: false,
    // Our own messages say more, and in one place.
    disableInformer: true,
    theme: 'auto',
    proudlyDisplayPoweredByUppy: false,
    fileManagerSelectionType: 'both',
    showRemoveButtonAfterComplete: true,
    waitForThumbnailsBeforeUpload: false,
  });
  nameList(area);
  tell(uppy, onStored);
  return h(
    'section',
    { class: 'upload', 'aria-labelledby': 'upload-title' },
    h('h2', { id: 'upload-title' }, t('uploadTitle')),
    choice,
    note,
    area,
  );
}

/** The dashboard marks its files as items of a list, but not the list around a single one. */
function nameList(area: HTMLElement): void {
  new MutationObserver(() => {
    area.querySelector('.uppy-Dashboard-files:not([role])')?.setAttribute('role', 'list');
  }).observe(area, { childList: true, subtree: true });
}

/** Tells what happens: in messages, to screen readers, and to the list. */
function tell(uppy: Uploader, onStored: (file: FileRecord) => void): void {
  let told = 0;
  uppy.on('files-added', (files) => announce(tn('filesAdded', files.length)));
  uppy.on('upload', (_id, files) => {
    told = 0;
    announce(tn('uploadStarted', files.length));
  });
  uppy.on('progress', (percent) => {
    const step = Math.floor(percent / STEP) * STEP;
    if (step <= told || step >= 100) return;
    told = step;
    announce(t('uploadProgress', { percent: step }));
  });
  uppy.on('pause-all', () => announce(t('uploadPaused')));
  uppy.on('resume-all', () => announce(t('uploadGoesOn')));
  uppy.on('upload-success', (file, { uploadURL }) => {
    if (file === undefined) return;
    announce(t('uploaded', { name: file.name }));
    const id = uploadURL?.split('/').at(-1);
    if (id !== undefined) call<FileRecord>(`/api/files/${id}`).then(onStored, () => undefined);
  });
  uppy.on('upload-error', (file, error) => {
    // The dialog to sign in says it already.
    if (file === undefined || document.querySelector('dialog[open].small')) return;
    toast(t('uploadFailed', { name: file.name, message: failureOf(error) }), undefined, true);
    // Else it would be sent again with the next file, and refused again.
    if (isRefused(error)) setTimeout(() => uppy.removeFile(file.id));
  });
  uppy.on('complete', ({ failed = [] }) => {
    if (failed.length > 0) return;
    // The files are in the list: the area is free for the next ones.
    setTimeout(() => {
      if (uppy.getFiles().every(({ progress }) => progress.uploadComplete)) uppy.clear();
    }, SHOWN_MS);
  });
  uppy.on('restriction-failed', (file, error) => {
    toast((file && refusal(uppy, file)) ?? error.message, undefined, true);
  });
  uppy.on('restored', () => {
    const ghosts = uppy.getFiles().filter(({ isGhost }) => isGhost);
    for (const { name } of ghosts) toast(t('ghost', { name }));
    // What needs nobody's hand goes on by itself.
    if (ghosts.length === 0) uppy.emit('restore-confirmed');
  });
}

/** Why a file was refused before anything was sent. */
function refusal(uppy: Uploader, file: Partial<Upload>): string | undefined {
  const usage = currentSession().settings.usages.find(({ name }) => name === uppy.getState().meta.usage);
  if (usage === undefined) return undefined;
  const name = file.name ?? '';
  if ((file.size ?? 0) > usage.maxSizeBytes) return t('tooLarge', { name, size: bytes(usage.maxSizeBytes) });
  return t('wrongType', { name, usage: named('one', usage.name), types: typesOf(usage) });
}

function noteOf(usage: Usage): string {
  return t('uploadNote', { types: typesOf(usage), size: bytes(usage.maxSizeBytes) });
}

function typesOf({ contentTypes }: Usage): string {
  if (contentTypes.length === 0) return t('anyType');
  const names = contentTypes.map((type) => (type.endsWith('/*') ? named('types', type.slice(0, -2)) : type));
  return new Intl.ListFormat(document.documentElement.lang, { type: 'conjunction' }).format(names);
}
