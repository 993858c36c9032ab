#!/bin/sh
# Makes unicode-names.jsonl from the Unicode Character Database: one line for each character up to
# U+0FFF (Latin to Tibetan), with its name, category and block.
#
#   sh make.sh FOLDER > unicode-names.jsonl
#
# FOLDER holds UnicodeData.txt and Blocks.txt, as Debian's package `unicode-data` puts them into
# /usr/share/unicode. Both are described in Unicode Standard Annex #44.
set -eu

awk -F';' '
    # Blocks.txt: "0000..007F; Basic Latin"
    FNR == NR {
        if ($0 !~ /^[0-9A-F]/) next
        split($1, ends, /\.\./)
        sub(/^ +/, "", $2)
        first[blocks] = pad(ends[1]); last[blocks] = pad(ends[2]); title[blocks] = $2
        blocks++
        next
    }
    # UnicodeData.txt: 0 code point, 1 name, 2 category, 8 numeric value, 10 Unicode 1 name,
    # 12 upper case, 13 lower case. Code points of one width compare as text.
    {
        code = pad($1)
        if (code > "000FFF") exit
        while (code > last[block]) block++
        name = $2
        if (name == "<control>") name = $11 == "" ? "CONTROL " $1 : $11
        line = "{\"key\":\"U+" $1 "\",\"value\":{\"name\":\"" name "\",\"category\":\"" $3 "\""
        line = line ",\"block\":\"" title[block] "\""
        if ($9 != "") line = line ",\"numeric\":" ($9 ~ /\// ? "\"" $9 "\"" : $9)
        if ($13 != "") line = line ",\"upper\":\"U+" $13 "\""
        if ($14 != "") line = line ",\"lower\":\"U+" $14 "\""
        print line "}}"
    }
    function pad(code) { return substr("000000", 1, 6 - length(code)) code }
' "$1/Blocks.txt" "$1/UnicodeData.txt"
