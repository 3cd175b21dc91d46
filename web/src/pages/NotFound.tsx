/** Nothing is here. */

import { Link } from 'wouter';
import { RailButton } from '../components/Shell.tsx';

export function NotFound({
  what = 'This page does not exist. It may have been removed, or it is not shared with you.',
}: {
  what?: string;
}) {
  return (
    <>
      <header className="head">
        <RailButton />
        <h1>Not found</h1>
      </header>
      <div className="page">
        <div className="column">
          <p className="lead">{what}</p>
          <Link href="/" className="button">
            To the fleet
          </Link>
        </div>
      </div>
    </>
  );
}
