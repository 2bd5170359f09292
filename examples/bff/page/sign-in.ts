/** The sign-in for development: whoever comes says who they are. */
import './style.css';
import { Problem, problemOf } from './api.ts';
import { h } from './dom.ts';
import { language, t } from './i18n.ts';

document.documentElement.lang = language;
document.title = t('signInTitle');
const problem = h('p', { class: 'problem', role: 'alert' });
const user = h('input', {
  id: 'user',
  name: 'user',
  autocomplete: 'username',
  required: true,
  maxlength: 64,
});

async function signIn(): Promise<void> {
  const returnTo = new URLSearchParams(location.search).get('returnTo') ?? '/';
  // Signed in already: the token of that session is needed.
  const { csrf } = (await (await fetch('/api/session')).json()) as { csrf?: string };
  const response = await fetch('/sign-in', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(csrf !== undefined && { 'x-csrf-token': csrf }) },
    body: JSON.stringify({ user: user.value, returnTo }),
  });
  const text = await response.text();
  if (!response.ok) throw problemOf(response.status, text);
  location.assign((JSON.parse(text) as { returnTo: string }).returnTo);
}

const submit = (event: Event) => {
  event.preventDefault();
  signIn().catch((error: unknown) => {
    problem.textContent = error instanceof Problem ? error.message : t('networkFailed');
  });
};
document.body.append(
  h(
    'main',
    { class: 'narrow' },
    h('h1', {}, t('signInTitle')),
    h('p', { class: 'quiet' }, t('signInHint')),
    h(
      'form',
      { onsubmit: submit },
      h('label', { for: 'user' }, t('userName')),
      user,
      problem,
      h('button', { class: 'primary' }, t('signIn')),
    ),
  ),
);
user.focus();
