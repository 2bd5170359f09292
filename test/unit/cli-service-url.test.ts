import { afterEach, describe, expect, it } from '@jest/globals';
import { serviceUrl } from '../../src/cli/service-url.ts';

describe('the address of the service', () => {
  const before = process.env['ASSET_URL'];
  afterEach(() => {
    if (before === undefined) delete process.env['ASSET_URL'];
    else process.env['ASSET_URL'] = before;
  });

  it.each([
    ['http://files.example.com', 'http://files.example.com'],
    ['HTTPS://Files.Example.com/', 'https://files.example.com'],
    ['https://example.com/assets/', 'https://example.com/assets'],
    ['localhost:8080', 'http://localhost:8080'],
    ['localhost', 'http://localhost'],
    ['assets.localhost:80', 'http://assets.localhost'],
    ['127.0.0.1:8080', 'http://127.0.0.1:8080'],
    ['127.1.2.3:8080', 'http://127.1.2.3:8080'],
    ['[::1]:8080', 'http://[::1]:8080'],
    ['files.example.com', 'https://files.example.com'],
    ['files.example.com:8443/assets', 'https://files.example.com:8443/assets'],
    ['127.0.0.1.example.com', 'https://127.0.0.1.example.com'],
    ['notlocalhost:8080', 'https://notlocalhost:8080'],
    ['10.0.0.1:8080', 'https://10.0.0.1:8080'],
  ])('%s is %s', (given, url) => {
    expect(serviceUrl(given)).toBe(url);
  });

  it('is https for this machine too where certificates are given', () => {
    expect(serviceUrl('localhost:8443', true)).toBe('https://localhost:8443');
    expect(() => serviceUrl('http://localhost:8443', true)).toThrow('are for https addresses');
  });

  it('is that of ASSET_URL where none is given, and of the defaults where that is empty', () => {
    process.env['ASSET_URL'] = 'localhost:9';
    expect(serviceUrl(undefined)).toBe('http://localhost:9');
    expect(serviceUrl('localhost:8')).toBe('http://localhost:8');
    process.env['ASSET_URL'] = '';
    expect(serviceUrl(undefined)).toBe('http://127.0.0.1:8080');
  });

  it.each([
    ['ftp://127.0.0.1', 'must be an http or https address'],
    ['8080', 'must name a host'],
    [':8080', 'must be host:port or a URL'],
    ['http://', 'must be host:port or a URL'],
    ['a b', 'must be host:port or a URL'],
    ['http://127.0.0.1:99999', 'must be host:port or a URL'],
    ['http://127.0.0.1/?x=1', 'no user, query or fragment'],
    ['http://ann:secret@127.0.0.1', 'no user, query or fragment'],
    ['ftp://ann:secret@127.0.0.1', 'must be an http or https address'],
    ['http://ann:secret@127.0.0.1:99999', 'must be host:port or a URL'],
  ])('is not %s', (given, why) => {
    expect(() => serviceUrl(given)).toThrow(why);
    expect(() => serviceUrl(given)).not.toThrow('secret');
  });
});
