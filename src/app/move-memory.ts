import type { Config } from '../config/config.ts';
import type { CopyLimits } from '../move/backup/copy.ts';
import { MemoryBudget } from '../storage/memory-budget.ts';

/** Memory for copying the bytes of files between the stores. */
export function moveMemory({ settings }: Config): CopyLimits {
  return {
    budget: new MemoryBudget(settings.ASSET_UPLOAD_MEMORY).of(''),
    partSizeBytes: settings.ASSET_UPLOAD_PART_SIZE,
  };
}
