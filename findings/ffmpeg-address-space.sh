#!/usr/bin/env bash
# ffmpeg 5.1 of Debian 12: printing its version takes more than a quarter of a gigabyte of address space.
#
# With: Debian's ffmpeg 7:5.1.9-0+deb12u1, amd64
# Expected: a limit of 128 MiB of address space (ulimit -v) is ample for a program that prints its version and ends,
#   since 45 MiB are resident when it waits for input.
# Seen: more than 256 MiB of libraries are mapped before main() begins.
#     ffmpeg version 5.1.9-0+deb12u1
#     128 MiB: failed to map segment from shared object
#     192 MiB: failed to map segment from shared object
#     256 MiB: failed to map segment from shared object
#     320 MiB: it starts
#     384 MiB: it starts
# It takes Debian's ffmpeg from the distribution if there is none.
# Exits 0 while this is so, 1 when it has changed, 2 when it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 2' ERR
cd "$work"

if ! command -v ffmpeg >/dev/null; then
    if [ "$(id -u)" = 0 ]; then sudo=(); else sudo=(sudo); fi
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" apt-get install -y -qq --no-install-recommends ffmpeg >/dev/null
fi
ffmpeg -version | head -1 | cut -d' ' -f1-3
for mib in 128 192 256 320 384; do
    if (ulimit -v $((mib * 1024)) && ffmpeg -version >/dev/null 2>"$mib"); then
        echo "$mib MiB: it starts"
    else
        echo "$mib MiB: $(grep -o 'failed to map segment.*' "$mib" || tail -1 "$mib")"
    fi
done | tee seen
grep -q '^256 MiB: failed to map' seen || exit 1
