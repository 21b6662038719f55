import { z } from 'zod';

/** Value of an HTTP header (RFC 9110 section 5.5), as Node takes it; any other fails each connection, long after the start. */
export const headerValue = z.string().refine((value) => !/[^\t\x20-\x7e\x80-\xff]/.test(value), {
  error: 'must be a line of printable ASCII or Latin-1 characters: it is an HTTP header',
});
