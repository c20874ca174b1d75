#pragma once
// Where the files of a dataset lie.

#include <string>
#include <vector>

namespace residua {

// `$RESIDUA_CACHE`, else `$XDG_CACHE_HOME/residua`, else `~/.cache/residua`.
std::string cache_folder();

// Where `residua data get NAME` puts a dataset: `data/NAME` of the cache folder.
std::string downloaded_folder(const std::string& name);

// The folder that holds `marker` (one of the dataset's files, plain or with ".gz"). Looks in `path`
// and its subfolder `canonical` when a path is given; otherwise in `$RESIDUA_DATA/canonical` and in
// the downloaded folder, itself and its `canonical`. Throws ErrorKind::not_found with the places it
// looked in and what to do.
std::string find_dataset(const std::string& name, const std::string& canonical,
                         const std::string& marker, const std::string& path);

// `folder/file`, or `folder/file.gz` where only that exists; throws ErrorKind::not_found.
std::string find_maybe_gz(const std::string& folder, const std::string& file);

}  // namespace residua
