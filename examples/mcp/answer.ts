import { AssetClientError, type AssetFile } from '@asset-service/worker';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';

/** A file in a list: enough to choose one. */
export const SUMMARY = {
  id: z.string(),
  name: z.string(),
  content_type: z.string(),
  size_bytes: z.number(),
  owner: z.string(),
  usage: z.string(),
  create_time: z.string().optional(),
};

/** The whole record of a file. */
export const RECORD = {
  ...SUMMARY,
  sha256: z.string().optional(),
  relations: z.record(z.string(), z.array(z.string())),
  attributes: z.record(z.string(), z.unknown()),
  etag: z.string(),
  update_time: z.string().optional(),
  delete_time: z.string().optional(),
};

/** What {@link SUMMARY} describes. */
export const toSummary = (file: AssetFile) => ({
  id: file.id,
  name: file.name,
  content_type: file.contentType,
  size_bytes: file.sizeBytes,
  owner: file.owner,
  usage: file.usage,
  create_time: file.createTime?.toISOString(),
});

/** What {@link RECORD} describes. */
export const toRecord = (file: AssetFile) => ({
  ...toSummary(file),
  sha256: file.sha256,
  relations: Object.fromEntries(Object.entries(file.relations).map(([name, ids]) => [name, [...ids]])),
  attributes: { ...file.attributes },
  etag: file.etag,
  update_time: file.updateTime?.toISOString(),
  delete_time: file.deleteTime?.toISOString(),
});

/**
 * The answer of a tool: an object, also as text for clients that know no structured answers. A refusal of the service is an
 * answer for the agent with its reason; every other error is a fault of this program.
 */
export async function answer(work: () => Promise<Record<string, unknown>>): Promise<CallToolResult> {
  try {
    const structuredContent = await work();
    return {
      content: [{ type: 'text', text: JSON.stringify(structuredContent, null, 1) }],
      structuredContent,
    };
  } catch (error) {
    if (!(error instanceof AssetClientError)) throw error;
    const text = `${error.reason ?? error.code}: ${error.message}`;
    return { isError: true, content: [{ type: 'text', text }] };
  }
}
