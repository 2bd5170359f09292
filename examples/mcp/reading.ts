import type { AssetClient } from '@asset-service/worker';
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { z } from 'zod';
import { answer, RECORD, SUMMARY, toRecord, toSummary } from './answer.ts';

const readOnly = { readOnlyHint: true, openWorldHint: false };

/** Adds the tools that change nothing: find_files, describe_file, file_url. */
export function addReadingTools(server: McpServer, assets: AssetClient): void {
  server.registerTool(
    'find_files',
    {
      title: 'Find files',
      description:
        'Lists files that the caller may read, newest first. All conditions that are given must hold. Continue with next_page_token.',
      inputSchema: {
        owner: z.string().optional().describe('Id of the owner'),
        usage: z.string().optional().describe('What the files are for, such as "report"'),
        content_type: z.string().optional().describe('Media type, such as "image/png" or "image/*"'),
        relation: z
          .object({ name: z.string(), id: z.string() })
          .optional()
          .describe('Only files that this relation connects with this id'),
        created_from: z.iso.datetime().optional().describe('Earliest creation time, inclusive'),
        created_to: z.iso.datetime().optional().describe('Latest creation time, exclusive'),
        limit: z.number().int().min(1).max(100).default(20),
        page_token: z.string().optional(),
      },
      outputSchema: { files: z.array(z.object(SUMMARY)), next_page_token: z.string().optional() },
      annotations: readOnly,
    },
    (query) =>
      answer(async () => {
        const page = await assets.listFilesPage({
          ...{ owner: query.owner, usage: query.usage, contentType: query.content_type },
          ...{ relation: query.relation, pageSize: query.limit, pageToken: query.page_token },
          createTimeFrom: query.created_from === undefined ? undefined : new Date(query.created_from),
          createTimeTo: query.created_to === undefined ? undefined : new Date(query.created_to),
        });
        return { files: page.files.map(toSummary), next_page_token: page.nextPageToken };
      }),
  );

  server.registerTool(
    'describe_file',
    {
      title: 'Describe a file',
      description: 'The record of a file: name, type, size, SHA-256, owner, usage, relations and attributes.',
      inputSchema: { id: z.string().describe('Id of the file') },
      outputSchema: RECORD,
      annotations: readOnly,
    },
    ({ id }) => answer(async () => toRecord(await assets.getFile(id))),
  );

  server.registerTool(
    'file_url',
    {
      title: 'Link to a file',
      description:
        'A URL from which a program or a browser reads the bytes until it expires. Whoever has the URL can read the file: give it to nobody else.',
      inputSchema: {
        id: z.string().describe('Id of the file'),
        ttl_seconds: z.number().int().min(1).max(3600).default(300),
        inline: z.boolean().default(false).describe('True if a browser shall show the file, not save it'),
      },
      outputSchema: {
        url: z.string(),
        expire_time: z.string().optional(),
        content_type: z.string(),
        size_bytes: z.number(),
      },
      annotations: readOnly,
    },
    ({ id, ttl_seconds, inline }) =>
      answer(async () => {
        const file = await assets.fileUrl(id, {
          ttlSeconds: ttl_seconds,
          disposition: inline ? 'inline' : 'attachment',
        });
        return {
          url: file.url,
          expire_time: file.expireTime?.toISOString(),
          content_type: file.contentType,
          size_bytes: file.sizeBytes,
        };
      }),
  );
}
