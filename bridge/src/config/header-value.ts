import { z } from 'zod';

/**
 * An HTTP header's value (RFC 9110 section 5.5), as Node accepts it. Checked at the start: an
 * invalid value would make every connection fail later.
 */
export const headerValue = z.string().refine((value) => !/[^\t\x20-\x7e\x80-\xff]/.test(value), {
  error: 'must be a line of printable ASCII or Latin-1 characters: it is an HTTP header',
});
