import { serverProgram } from '../../support/install.ts';

/** Why a test that needs these programs cannot run here; undefined if all are there. Installs what it can. */
export async function whyMissing(
  ...programs: readonly Parameters<typeof serverProgram>[0][]
): Promise<string | undefined> {
  for (const program of programs) {
    try {
      await serverProgram(program);
    } catch (error) {
      const [line] = (error as Error).message
        .split('\n')
        .filter((text) => text !== '')
        .slice(-1);
      return `${program} cannot be installed (${line})`;
    }
  }
  return undefined;
}
