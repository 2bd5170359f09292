import { describe, expect, it } from '@jest/globals';
import type { FileChange, FileRecord } from '../../../src/catalog/file-catalog.ts';
import type { Caller, Principal, Role } from '../../../src/identity/caller.ts';
import { decide, decideChange, decideUpload, type FileAction } from '../../../src/files/policy/decide.ts';
import { visibleTo } from '../../../src/files/policy/visibility.ts';
import { UsagePolicies } from '../../../src/files/policy/usage-policies.ts';

const ALL_RULES = ['owner', 'authenticated', 'asset:read', 'asset:write', 'asset:delete', 'asset:admin'];

/** A usage for every rule alone, one for none and one for two. */
const policies = new UsagePolicies({
  usages: {
    ...Object.fromEntries(ALL_RULES.map((rule) => [rule, { read: [rule], write: [rule] }])),
    'relation:team': { read: ['relation:team'] },
    nobody: { read: [], write: [] },
    both: { read: ['owner', 'relation:team'], write: ['owner', 'authenticated'] },
    // Their owners write them and do not read them.
    sealed: { read: [], write: ['owner'] },
    'for the team': { read: ['relation:team'], write: ['owner'] },
  },
  default: {},
});
const USAGES = [...ALL_RULES, 'relation:team', 'nobody', 'both', 'of no policy'];

const ROLE_SETS: readonly (readonly Role[])[] = [
  [],
  ['read'],
  ['write'],
  ['delete'],
  ['admin'],
  ['act-for-user'],
  ['read', 'write'],
];

const person = (id: string, roles: readonly Role[] = []): Principal => ({
  ...{ id, roles: new Set(roles), isService: false },
});
const alone = (roles: readonly Role[], id = 'me'): Caller => ({
  principal: person(id, roles),
  endUser: undefined,
});
/** A service that acts for nobody. */
const service = (roles: readonly Role[], id = 'me'): Caller => ({
  principal: { ...person(id, roles), isService: true },
  endUser: undefined,
});
/** A service that may do everything, for a person who may do what these roles say. */
const through = (roles: readonly Role[], id = 'me'): Caller => ({
  principal: person('service', ['admin', 'act-for-user']),
  endUser: person(id, roles),
});

const OWNERS = { mine: 'me', another: 'you', none: '' };
const TEAMS: Record<string, FileRecord['relations']> = {
  'in the team': { team: ['x', 'me'] },
  'not in the team': { team: ['x'] },
  'in another relation': { other: ['me'] },
};

function fileWith(fields: Partial<FileRecord>): FileRecord {
  return {
    ...{ id: 'f', name: '', contentType: 'a/b', sizeBytes: 0, sha256: undefined, crc32c: undefined },
    ...{ owner: '', usage: '', relations: {}, attributes: {}, createdBy: '', createdFor: '' },
    ...{ createTime: new Date(0), updateTime: new Date(0), deleteTime: undefined, purgeTime: undefined },
    ...{ revision: '1', ...fields },
  };
}

/** What the documentation says, written down a second time and in other words. */
function expected(action: FileAction, roles: readonly Role[], file: FileRecord, isService = false): boolean {
  const needed = { read: 'read', update: 'write', delete: 'delete' } as const;
  if (roles.includes('admin') || roles.includes(needed[action])) return true;
  if (isService) {
    const rule = file.usage;
    // Of the usages here `both` opens nothing to a role.
    const byRole = rule.startsWith('asset:') && roles.includes(rule.slice(6) as Role);
    return action !== 'delete' && byRole;
  }
  const isMine = file.owner === 'me';
  const inTeam = (file.relations['team'] ?? []).includes('me');
  const holds = (usage: string, isRead: boolean): boolean => {
    if (usage === 'owner' || usage === 'of no policy') return isMine;
    if (usage === 'authenticated') return true;
    if (usage.startsWith('asset:')) return roles.includes(usage.slice(6) as Role);
    if (usage === 'relation:team') return isRead ? inTeam : isMine;
    if (usage === 'both') return isRead ? isMine || inTeam : true;
    return false;
  };
  if (action === 'delete') return isMine && holds(file.usage, false);
  return holds(file.usage, action === 'read');
}

const ACTIONS: readonly FileAction[] = ['read', 'update', 'delete'];
const files = USAGES.flatMap((usage) =>
  Object.values(OWNERS).flatMap((owner) =>
    Object.values(TEAMS).map((relations) => fileWith({ owner, usage, relations })),
  ),
);

describe.each([
  ['a person', alone, false],
  ['an end user', through, false],
  ['a service', service, true],
] as const)('what %s may do', (_, callerWith, isService) => {
  describe.each(ROLE_SETS.map((roles) => ({ roles })))('with the roles $roles', ({ roles }) => {
    it.each(ACTIONS)('%s, by owner, usage and relation', (action) => {
      const table = (decision: (file: FileRecord) => boolean) =>
        files.map((file) => [file.usage, file.owner, JSON.stringify(file.relations), decision(file)]);
      const decided = (file: FileRecord) =>
        decide(callerWith(roles), action, file, policies.ofExisting(file.usage)).allowed;
      expect(table(decided)).toEqual(table((file) => expected(action, roles, file, isService)));
    });

    it.each(ACTIONS)('%s of a file that there is not, by role alone', (action) => {
      const role = { read: 'read', update: 'write', delete: 'delete' } as const;
      const wanted = roles.includes('admin') || roles.includes(role[action]);
      const verdict = decide(callerWith(roles), action, undefined, policies.ofExisting(''));
      expect(verdict).toEqual({ allowed: wanted, rule: wanted ? expect.stringMatching(/^role:/) : 'nobody' });
    });

    it('lists exactly what it may read', () => {
      const seen = visibleTo(callerWith(roles), policies.access);
      const isAmong = (file: FileRecord) =>
        seen === undefined ||
        seen.some(
          ({ owner, relation, usages, notUsages }) =>
            (owner === undefined || owner === file.owner) &&
            (relation === undefined || (file.relations[relation.name] ?? []).includes(relation.id)) &&
            (usages === undefined || usages.includes(file.usage)) &&
            !notUsages?.includes(file.usage),
        );
      const allowed = files.filter((file) => expected('read', roles, file, isService));
      expect(files.filter(isAmong)).toEqual(allowed);
    });

    it('uploads what is its own, where it may write, and anything by role', () => {
      const byRole = roles.includes('write') || roles.includes('admin');
      for (const usage of USAGES) {
        for (const owner of Object.values(OWNERS)) {
          const file = fileWith({ usage, owner });
          const { allowed } = decideUpload(callerWith(roles), file, policies.ofExisting(usage));
          const isOwn = owner === 'me' && !isService;
          const wanted = byRole || (isOwn && expected('update', roles, file));
          expect({ usage, owner, allowed }).toEqual({ usage, owner, allowed: wanted });
        }
      }
    });
  });
});

describe('a decision', () => {
  it.each<[string, Caller, FileAction, Partial<FileRecord>]>([
    ['role:admin', alone(['admin', 'read']), 'read', {}],
    ['role:read', alone(['read']), 'read', {}],
    ['role:write', alone(['write']), 'update', {}],
    ['role:delete', alone(['delete']), 'delete', {}],
    ['owner', alone([]), 'read', { owner: 'me' }],
    ['owner', alone([]), 'delete', { owner: 'me' }],
    ['usage:authenticated', alone([]), 'read', { usage: 'authenticated' }],
    ['usage:role:write', alone(['write']), 'read', { usage: 'asset:write' }],
    ['usage:relation:team', alone([]), 'read', { usage: 'both', relations: { team: ['me'] } }],
    ['nobody', alone([]), 'read', { owner: 'you' }],
  ])('names the rule that made it: %s', (rule, caller, action, fields) => {
    const file = fileWith(fields);
    expect(decide(caller, action, file, policies.ofExisting(file.usage)).rule).toBe(rule);
  });

  it("uses only the end user's permissions when a service acts for one", () => {
    const file = fileWith({ owner: 'service', relations: { team: ['service'] }, usage: 'both' });
    expect(decide(through([]), 'read', file, policies.ofExisting('both')).allowed).toBe(false);
    expect(decide(through([]), 'delete', file, policies.ofExisting('both')).allowed).toBe(false);
  });

  it('finds no owner in a file without one, whatever the caller is called', () => {
    const nameless = alone([], '');
    expect(decide(nameless, 'read', fileWith({}), policies.ofExisting('')).allowed).toBe(false);
    expect(decideUpload(nameless, fileWith({}), policies.ofExisting('')).allowed).toBe(false);
  });

  it('is not confused by property names that every object has', () => {
    const odd = new UsagePolicies({
      usages: { odd: { read: ['relation:constructor', 'relation:toString'] } },
    });
    const file = fileWith({ usage: 'odd', owner: 'you' });
    expect(decide(alone([]), 'read', file, odd.ofExisting('odd')).allowed).toBe(false);
    expect(
      decide(alone([]), 'read', fileWith({ usage: 'constructor' }), odd.ofExisting('constructor')).allowed,
    ).toBe(false);
  });
});

describe('a change', () => {
  const mine = fileWith({ owner: 'me', usage: 'both', relations: { team: ['x'] } });
  const yours = fileWith({ ...mine, owner: 'you' });
  const sealed = fileWith({ owner: 'me', usage: 'sealed' });
  const ofTeam = fileWith({ owner: 'me', usage: 'for the team', relations: { team: ['x'] } });
  const inTeam = fileWith({ ...ofTeam, relations: { team: ['me'] } });
  it.each<[string, FileRecord, FileChange, boolean, string]>([
    ['of the name, by its owner', mine, { name: 'x' }, true, 'owner'],
    ['of the name of what is sealed, by its owner', sealed, { name: 'x' }, true, 'owner'],
    ['that unseals, by its owner', sealed, { usage: 'both' }, false, 'opens-reading'],
    ['that seals, by its owner', mine, { usage: 'sealed' }, false, 'opens-reading'],
    ['that joins the readers, by its owner', ofTeam, { relations: { team: ['me'] } }, false, 'opens-reading'],
    [
      'that joins and unseals, by its owner',
      ofTeam,
      { usage: 'both', relations: { team: ['me'] } },
      false,
      'opens-reading',
    ],
    ['that leaves the readers, by its owner', inTeam, { relations: { team: ['x'] } }, false, 'opens-reading'],
    [
      'that adds a reader, by its owner who reads',
      inTeam,
      { relations: { team: ['me', 'x'] } },
      true,
      'owner',
    ],
    ['of the name, by who may write the usage', yours, { name: 'x' }, true, 'usage:authenticated'],
    ['of the owner, by its owner', mine, { owner: 'you' }, false, 'other-owner'],
    ['of the owner to nobody, by its owner', mine, { owner: '' }, false, 'other-owner'],
    ['of the owner to the same', mine, { owner: 'me' }, true, 'owner'],
    ['of the owner, by who may write the usage', yours, { owner: 'me' }, false, 'other-owner'],
    ['of who may read, by its owner', mine, { relations: { team: ['me', 'x'] } }, true, 'owner'],
    [
      'of who may read, by another writer',
      yours,
      { relations: { team: ['x', 'me'] } },
      false,
      'opens-reading',
    ],
    [
      'that takes a reader away, by another writer',
      yours,
      { relations: { team: [] } },
      false,
      'opens-reading',
    ],
    [
      'of another relation, by another writer',
      yours,
      { relations: { other: ['me'] } },
      true,
      'usage:authenticated',
    ],
    [
      'that says what the relation is already',
      yours,
      { relations: { team: ['x'] } },
      true,
      'usage:authenticated',
    ],
    ['to a usage that opens it, by its owner', mine, { usage: 'authenticated' }, true, 'usage:authenticated'],
    [
      'to a usage that opens it, by another writer',
      yours,
      { usage: 'authenticated' },
      false,
      'opens-reading',
    ],
    ['to a usage that its owner may not write', mine, { usage: 'nobody' }, false, 'nobody'],
    ['from such a usage', { ...mine, usage: 'nobody' }, { usage: 'owner' }, false, 'nobody'],
  ])('%s', (_, file, change, allowed, rule) => {
    const [before, after] = [
      policies.ofExisting(file.usage),
      policies.ofExisting(change.usage ?? file.usage),
    ];
    for (const caller of [alone([]), through([])]) {
      expect(decideChange(caller, file, change, before, after)).toEqual({ allowed, rule });
    }
    for (const caller of [alone(['write']), through(['admin'])]) {
      expect(decideChange(caller, file, change, before, after).allowed).toBe(true);
    }
  });
});
