import { createHash, timingSafeEqual } from 'node:crypto';

/** Whether two secrets are the same. Their digests are of one length: how long the comparison takes tells nothing. */
export function isSameSecret(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
