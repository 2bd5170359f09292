import { describe, expect, it } from '@jest/globals';
import { create } from '@bufbuild/protobuf';
import { FileFilterSchema } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { toFilter } from '../../src/rpc/service/convert.ts';

describe('the filter of a list or a watch', () => {
  it.each([
    ['', undefined],
    ['*/*', undefined],
    ['image/*', 'image/*'],
    ['Image/PNG', 'image/png'],
    [' image/png ', 'image/png'],
    ['application/vnd.api+json', 'application/vnd.api+json'],
  ])('takes the type %p as %p', (contentType, wanted) => {
    expect(toFilter(create(FileFilterSchema, { contentType })).contentType).toBe(wanted);
  });

  it.each([
    ...[
      'image/',
      'image',
      '/png',
      '/',
      'image/*png',
      'image/p*',
      '*/png',
      '*',
      'image/png; a=b',
      'image /png',
    ],
    ...[
      'image/png,image/jpeg',
      'image//png',
      'image/png/x',
      'ima%ge/é',
      'image/*;q=1',
      'image/\npng',
      '**/*',
    ],
  ])('refuses the type %j', (contentType) => {
    let error: unknown;
    try {
      toFilter(create(FileFilterSchema, { contentType }));
    } catch (reason) {
      error = reason;
    }
    expect(error).toMatchObject({
      ...{ reason: 'FIELD_INVALID', metadata: { field: 'filter.content_type' } },
      message: expect.stringContaining('image/*') as unknown,
    });
  });
});
