/** The end of a sign-in in a window of its own: tells the other tabs and closes. */
import './style.css';
import { h } from './dom.ts';
import { language, t } from './i18n.ts';
import { CHANNEL } from './session.ts';

document.documentElement.lang = language;
document.body.append(
  h('main', { class: 'narrow' }, h('h1', {}, t('signInTitle')), h('p', {}, t('signedInText'))),
);
new BroadcastChannel(CHANNEL).postMessage('signed in');
window.close();
