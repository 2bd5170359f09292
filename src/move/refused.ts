/** A step that was not taken; the text is for the operator. */
export class MoveRefused extends Error {
  constructor(text: string, options?: ErrorOptions) {
    super(text, options);
    this.name = 'MoveRefused';
  }
}

/** Another process had the lease of the steps all the time. */
export function stepRuns(): MoveRefused {
  return new MoveRefused('another process runs a step of the move: nothing was done');
}
