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
  ])('takes the type %p as %p', (contentType, wanted) => {
    expect(toFilter(create(FileFilterSchema, { contentType })).contentType).toBe(wanted);
  });
});
