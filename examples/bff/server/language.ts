import type { FastifyRequest } from 'fastify';
import de from '../messages/de.json' with { type: 'json' };
import en from '../messages/en.json' with { type: 'json' };

/** The languages there are message files for. */
export type Language = 'en' | 'de';

const ERRORS: Readonly<Record<Language, Readonly<Record<string, string>>>> = { en: en.errors, de: de.errors };

/** The language that the browser asks for; English if none of ours. */
export function languageOf(request: FastifyRequest): Language {
  const wanted = (request.headers['accept-language'] ?? '')
    .split(',')
    .map((one, index) => {
      const [tag = '', ...parameters] = one.trim().toLowerCase().split(';');
      const q = parameters.find((parameter) => parameter.trim().startsWith('q='));
      return { tag: tag.split('-')[0]!, q: q === undefined ? 1 : Number(q.trim().slice(2)) || 0, index };
    })
    .filter(({ tag, q }) => q > 0 && tag in ERRORS)
    .sort((a, b) => b.q - a.q || a.index - b.index);
  return (wanted[0]?.tag ?? 'en') as Language;
}

/** The title of the page. */
export function titleOf(language: Language): string {
  return (language === 'de' ? de : en).page.title;
}

/** The message for a reason, otherwise for a status. A message whose values are not known has a `_PLAIN` form without them. */
export function textOf(
  language: Language,
  reason: string,
  status: number,
  metadata: Readonly<Record<string, string>> = {},
): string {
  const texts = ERRORS[language];
  const plain = texts[`${reason}_PLAIN`];
  const isKnown = [...(texts[reason] ?? '').matchAll(/\{(\w+)\}/g)].every(([, name]) => metadata[name!]);
  const text =
    (isKnown ? texts[reason] : (plain ?? texts[reason])) ??
    texts[`HTTP_${status}`] ??
    texts[status < 500 ? 'REQUEST_INVALID' : 'INTERNAL']!;
  return text.replaceAll(
    /\{(\w+)\}/g,
    (whole, name: string) => shownValue(name, metadata[name], language) ?? whole,
  );
}

function shownValue(name: string, value: string | undefined, language: Language): string | undefined {
  if (value === undefined || !name.endsWith('_bytes')) return value;
  const mega = Number(value) / 1_048_576;
  const digits = { maximumFractionDigits: mega < 10 ? 1 : 0 };
  return `${new Intl.NumberFormat(language, digits).format(mega)} MiB`;
}
