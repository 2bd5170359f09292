import type { Config } from '../config/config.ts';
import type { FilesContext } from '../files/context.ts';
import { SettingsError } from '../config/settings.ts';
import type { UsagePolicies } from '../files/policy/usage-policies.ts';
import { derivedNames } from '../files/renditions.ts';
import { RenderProcess } from '../variants/child-process.ts';
import { engineVersions } from '../variants/engine.ts';
import type { MakerParts } from '../variants/maker.ts';
import { Renderer } from '../variants/renderer.ts';
import { RenditionStore } from '../variants/rendition-store.ts';
import { StoredVariants } from '../variants/stored-variants.ts';

/**
 * Rejects, naming the package, if a policy has variants and a package that makes them is not installed or does not work
 * on this machine.
 */
export async function assertVariantsCanBeMade(policies: Pick<UsagePolicies, 'all'>): Promise<void> {
  if (derivedNames(policies).size === 0) return;
  engineVersions();
  await RenderProcess.check();
}

/**
 * The same for the policies that the settings name.
 *
 * @throws SettingsError
 */
export async function checkVariants({ policies }: Config): Promise<void> {
  try {
    await assertVariantsCanBeMade(policies);
  } catch (error) {
    throw new SettingsError([`ASSET_POLICY_FILE: ${(error as Error).message}`]);
  }
}

/** Makes and finds variants. Its processes start when they are needed. */
export function openVariants(
  { settings, policies }: Config,
  parts: Pick<FilesContext, 'store' | 'catalog' | 'log'> & Pick<MakerParts, 'onMade'>,
): StoredVariants {
  const limits = { timeoutMs: settings.ASSET_VARIANT_TIMEOUT, memoryBytes: settings.ASSET_VARIANT_MEMORY };
  const engine = () => `${engineVersions()}, ${limits.timeoutMs} ms, ${limits.memoryBytes} bytes`;
  return new StoredVariants({
    ...parts,
    policies,
    renditions: new RenditionStore(parts.store, engine),
    renderer: new Renderer({ ...limits, concurrency: settings.ASSET_VARIANT_CONCURRENCY }),
    maxWaiting: settings.ASSET_VARIANT_QUEUE,
  });
}
