import { InvalidArgumentError } from 'commander';

/** Returns a parser for a number of at least `least`. */
export function numberFrom(least: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (text.trim() === '' || !Number.isFinite(number) || number < least) {
      throw new InvalidArgumentError(`must be a number of at least ${least}`);
    }
    return number;
  };
}

/** Returns a parser for a whole number of at most six digits and at least `least`. */
export function wholeFrom(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,6}$/.test(text) || value < least)
      throw new InvalidArgumentError(`must be a whole number from ${least}`);
    return value;
  };
}

/** The value of an option that is a count. Throws InvalidArgumentError. */
export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value <= 0)
    throw new InvalidArgumentError('must be a positive whole number');
  return value;
}
