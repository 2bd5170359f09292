import { currentSession, readSession, signedInAgain, whenExpired } from './api.ts';
import { h } from './dom.ts';
import { t } from './i18n.ts';
import { toast } from './toast.ts';

/** Tells every tab that the person has signed in again. */
export const CHANNEL = 'signed-in';

/** Makes the dialog that lets a person sign in again without leaving the page, so that its uploads stay. */
export function watchSignIn(): HTMLDialogElement {
  const open = () => window.open('/sign-in?returnTo=%2Fsigned-in', '_blank', 'popup,width=480,height=640');
  const dialog = h(
    'dialog',
    { class: 'small', 'aria-labelledby': 'expired-title' },
    h('h2', { id: 'expired-title' }, t('expiredTitle')),
    h('p', {}, t('expiredText')),
    h(
      'div',
      { class: 'row end' },
      h('button', { type: 'button', class: 'primary', onclick: open }, t('signInAgain')),
    ),
  );
  // Nothing else can be done before.
  dialog.addEventListener('cancel', (event) => event.preventDefault());
  whenExpired(() => {
    if (!dialog.open) dialog.showModal();
  });

  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener('message', () => {
    void (async () => {
      const before = currentSession().user;
      const { user } = await readSession();
      if (user === null) return;
      // Another person: nothing of this page is theirs.
      if (user.id !== before?.id) return location.reload();
      const wasOpen = dialog.open;
      dialog.close();
      signedInAgain();
      if (wasOpen) toast(t('backAgain'));
    })();
  });
  return dialog;
}
