#pragma once
// What a residual stream looks like on its way through a network: the signal propagation plots of
// "Characterizing signal propagation to close the performance gap in unnormalized ResNets" (Brock,
// De, Smith 2021, arXiv:2101.08692, section 3), and the gradient on its way back.

#include <vector>

#include "residua/models/stream_model.h"

namespace residua {

// Of activations with channels in dimension 1 of images [N, C, H, W], else in the last: averages
// over the channels of each channel's mean, squared mean and variance over all else.
struct ChannelMoments {
  double mean = 0, squared_mean = 0, variance = 0;
};
ChannelMoments channel_moments(const at::Tensor& x);

struct SiteSignal {
  Site site;
  ChannelMoments stream;  // after the site; of a connection with several streams, its readout
  ChannelMoments branch;  // what the branch gave; zeros where it did not run
  double gradient = 0;  // mean over samples of the norm of the loss's gradient at the stream after
                        // the site
  double expected_variance = 0;  // by the connection; 0: not known
};

struct Signal {
  ChannelMoments input;  // the stream before the first site
  std::vector<SiteSignal> sites;
  // |x_L - x_l - sum of branches| / |x_L| over the last run of sites of one shape: 0 where streams
  // are sums, as in networks of identity mappings.
  double telescoping_error = 0;
};

// One pass over x, in the model's present mode. The loss is the sum of the last stream weighed by
// fixed normal numbers, so that it does not depend on the head; its gradient is computed where
// `gradients`.
Signal measure_signal(StreamModel& model, const at::Tensor& x, bool gradients = true);

}  // namespace residua
