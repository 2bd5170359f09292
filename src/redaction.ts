const HIDDEN = '***';

const URLS = /[a-z][a-z0-9+.-]*:\/\/[^\s"'<>\\`]+/gi;

/** A user and a password, as they stand before the host. */
const USER = /^[^/?#]*@/;

/** The same where the password has characters that a URL may not have; `host:8080/` is none. */
const BROKEN_USER = /^[^/:@?#]+:(?!\d{1,5}(?:[/?#]|$)).*@/;

const QUERY_VALUE = /([?&][\w.-]+=)[^&#\s"'\\]*/g;

/** A text, such as a message of a library, without the users, passwords and query values of the URLs in it. */
export function withoutSecrets(text: string): string {
  if (!text.includes('://')) return text;
  return text.replaceAll(URLS, (url) => {
    const start = url.indexOf('://') + 3;
    const rest = url.slice(start).replace(USER, `${HIDDEN}@`).replace(BROKEN_USER, `${HIDDEN}@`);
    return url.slice(0, start) + withoutQueryValues(rest);
  });
}

/** The value of a setting or a flag as it may be shown: it may be a URL with a mistake in it, and so be no URL. */
export function shownValue(value: string): string {
  const shown = withoutSecrets(value);
  const hasUser = shown === value && /(?:\/\/|:).*@/s.test(value);
  return withoutQueryValues(hasUser ? value.replace(/^.*@/s, `${HIDDEN}@`) : shown);
}

function withoutQueryValues(text: string): string {
  return text.replaceAll(QUERY_VALUE, `$1${HIDDEN}`);
}
