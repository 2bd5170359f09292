import { h } from './dom.ts';

const polite = h('div', { class: 'unseen', role: 'status', 'aria-live': 'polite' });
const urgent = h('div', { class: 'unseen', role: 'alert' });

/** The live regions; they must be in the document before they have a text. */
export const liveRegions = [polite, urgent];

/** Tells users of screen readers what changed. */
export function announce(text: string, isUrgent = false): void {
  const region = isUrgent ? urgent : polite;
  // The same text twice is read twice only if the region was empty in between.
  region.textContent = '';
  setTimeout(() => (region.textContent = text), 50);
}
