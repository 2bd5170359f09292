import { h, icon } from './dom.ts';
import { t } from './i18n.ts';
import { announce } from './live.ts';

/** How long a message stays that has nothing to act on; one with an action stays longer. */
const [SHORT_MS, LONG_MS] = [6_000, 20_000];

/** Where the messages are. */
export const toasts = h('div', { class: 'toasts', role: 'region', 'aria-label': t('messages') });

/** Shows a message, with an action if there is one, and tells it to screen readers. */
export function toast(
  text: string,
  action?: { readonly label: string; run(): void },
  isProblem = false,
): void {
  const close = () => element.remove();
  const element = h(
    'div',
    { class: isProblem ? 'toast problem' : 'toast' },
    h('span', {}, text),
    action &&
      h('button', { type: 'button', class: 'text', onclick: () => (close(), action.run()) }, action.label),
    h('button', { type: 'button', class: 'bare', 'aria-label': t('dismiss'), onclick: close }, icon('close')),
  );
  toasts.append(element);
  announce(action ? `${text} ${action.label}` : text, isProblem);
  let timer = 0;
  const wait = () => (timer = setTimeout(close, action || isProblem ? LONG_MS : SHORT_MS));
  const stay = () => clearTimeout(timer);
  for (const name of ['pointerenter', 'focusin']) element.addEventListener(name, stay);
  for (const name of ['pointerleave', 'focusout']) element.addEventListener(name, wait);
  wait();
}
