/** The file manager: reads who is signed in and puts the parts of the page together. */
import '@uppy/core/css/style.min.css';
import '@uppy/dashboard/css/style.min.css';
import deDE from '@uppy/locales/lib/de_DE.js';
import enUS from '@uppy/locales/lib/en_US.js';
import './style.css';
import { call, errorMessage, Problem, readSession, type Session } from './api.ts';
import { detailsDialog } from './details.ts';
import { h, icon } from './dom.ts';
import { chooseLanguage, language, t, type Language } from './i18n.ts';
import { fileList, type FileList } from './list.ts';
import { announce, liveRegions } from './live.ts';
import { watchSignIn } from './session.ts';
import { toast, toasts } from './toast.ts';
import { createUploader, type Uploader } from './uploader.ts';
import { uploadPanel } from './upload-panel.ts';

document.documentElement.lang = language;
document.title = t('title');
document.body.append(...liveRegions, toasts);

try {
  const session = await readSession();
  if (session.user === null) welcome();
  else await start(session);
} catch (error) {
  const again = h('button', { type: 'button', onclick: () => location.reload() }, t('reload'));
  const text = error instanceof Problem ? error.message : t('networkFailed');
  document.body.append(h('main', { class: 'narrow' }, h('p', { role: 'alert' }, text), again));
}

/** What is shown before the sign-in. */
function welcome(): void {
  const here = encodeURIComponent(location.pathname + location.search);
  const failed = new URLSearchParams(location.search).get('problem') === 'sign-in';
  document.body.append(
    h(
      'main',
      { class: 'narrow' },
      h('h1', {}, t('title')),
      failed && h('p', { class: 'problem', role: 'alert' }, errorMessage('SIGN_IN_FAILED')),
      h('p', { class: 'quiet' }, t('signInFirst')),
      h('a', { class: 'button primary', href: `/sign-in?returnTo=${failed ? '%2F' : here}` }, t('signIn')),
    ),
  );
}

async function start(session: Session): Promise<void> {
  const uppy = await createUploader(language === 'de' ? deDE : enUS);
  let list: FileList | undefined = undefined;
  const { dialog, open } = detailsDialog(() => list!);
  list = fileList(open);
  const shown = list;
  document.body.prepend(
    h('a', { class: 'skip', href: '#files' }, t('skip')),
    header(session, uppy),
    h(
      'main',
      { id: 'files', tabindex: -1 },
      connection(),
      shown.element,
      uploadPanel(uppy, (file) => shown.show(file)),
    ),
    dialog,
    watchSignIn(),
  );
  await shown.reload();
}

function header({ user }: Session, uppy: Uploader): HTMLElement {
  const languages = h(
    'select',
    { 'aria-label': t('language'), onchange: () => chooseLanguage(languages.value as Language) },
    h('option', { value: 'en', lang: 'en' }, 'English'),
    h('option', { value: 'de', lang: 'de' }, 'Deutsch'),
  );
  languages.value = language;
  const signOut = async () => {
    // Nothing of this person stays in this browser.
    uppy.cancelAll();
    const { goTo } = await call<{ goTo: string }>('/sign-out', 'POST');
    location.assign(goTo);
  };
  const fail = (error: unknown) =>
    toast(error instanceof Problem ? error.message : t('networkFailed'), undefined, true);
  const out = h(
    'button',
    { type: 'button', class: 'text', onclick: () => void signOut().catch(fail) },
    t('signOut'),
  );
  return h(
    'header',
    { class: 'bar' },
    h('h1', {}, icon('files'), t('title')),
    h(
      'div',
      { class: 'row' },
      languages,
      h('span', { class: 'who', title: t('signedInAs', { name: user!.name }) }, user!.name),
      out,
    ),
  );
}

/** Says when there is no connection, and when it is back. */
function connection(): HTMLElement {
  const banner = h('p', { class: 'banner', hidden: navigator.onLine }, t('offline'));
  addEventListener('offline', () => {
    banner.hidden = false;
    announce(t('offline'));
  });
  addEventListener('online', () => {
    banner.hidden = true;
    announce(t('online'));
  });
  return banner;
}
